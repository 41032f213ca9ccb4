# syntax=docker/dockerfile:1
# The page, and every command, for a library on servers or in a volume (docs/CLUSTER.md):
#     docker build --target cpu -t moments .              # or --target gpu, with NVIDIA's toolkit
#     docker run --rm -v films:/films -v library:/library moments index /films
# It has not been built yet: hadolint reads it, and a test holds its files and stages.
FROM python:3.12-slim-bookworm AS packages
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 VIRTUAL_ENV=/opt/moments
RUN python -m venv "$VIRTUAL_ENV"
ENV PATH="$VIRTUAL_ENV/bin:$PATH"
COPY requirements.txt requirements-gpu.txt requirements-sentences.txt requirements-cluster.txt requirements.lock ./

FROM packages AS packages-cpu
# PyPI's torch for Linux brings CUDA along: 4 GB that no processor needs.
RUN pip install -r requirements.txt -r requirements-cluster.txt -c requirements.lock \
        --extra-index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-deps -r requirements-sentences.txt -c requirements.lock

FROM packages AS packages-gpu
RUN pip install -r requirements-gpu.txt -r requirements-cluster.txt -c requirements.lock \
    && pip install --no-deps -r requirements-sentences.txt -c requirements.lock

FROM python:3.12-slim-bookworm AS program
ENV PATH="/opt/moments/bin:$PATH" PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/cache VMR_LIBRARY=/library
WORKDIR /moments
COPY app.py LICENSE ./
COPY assets assets
COPY feature_extract feature_extract
COPY vmr vmr
RUN useradd --create-home --uid 1000 moments \
    && install -d -o moments /library /cache
USER 1000
VOLUME ["/library", "/cache"]
EXPOSE 7860
ENTRYPOINT ["python", "-m", "vmr"]
CMD ["page", "--host", "0.0.0.0"]

FROM program AS gpu
COPY --from=packages-gpu /opt/moments /opt/moments
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM program AS cpu
COPY --from=packages-cpu /opt/moments /opt/moments
