"""How weights start: the two ways in which the published code draws those of a linear.

network.apply(partial(normal, spread=0.02))
network.word_head.apply(xavier)
"""

from torch import nn


def normal(module: nn.Module, spread: float) -> None:
    """Draw a linear's weights from N(0, spread) and set its bias to 0, as for the backbone."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=spread)
        nn.init.zeros_(module.bias)


def xavier(module: nn.Module) -> None:
    """Draw a linear's weights from Xavier's uniform distribution, its bias is 0: for heads."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
