// Run before the page's scripts, after `const CONTRACT = {function: [request, view]}` of contract.py.
// A script that reads or writes a key of an answer that the contract does not have, or sends one,
// makes an error of the page, which fails the test that has the tab open.

const ORDINARY = new Set(["toJSON", "then", ...Object.getOwnPropertyNames(Object.prototype)]);
const watchers = new WeakMap(); // value -> its proxy: what is the same stays the same

function complain(what) {
  setTimeout(() => {
    throw new Error(`not in views.py or requests.py of vmr/page: ${what}`);
  });
}

function watch(value, schema, where) {
  if (!schema || value === null || typeof value !== "object") return value;
  if (!watchers.has(value)) watchers.set(value, new Proxy(value, traps(schema, where)));
  return watchers.get(value);
}

function traps(schema, where) {
  const place = (key) => (schema.items ? `${where}[]` : `${where}.${String(key)}`);
  const check = (key) => {
    const plain = typeof key === "symbol" || ORDINARY.has(key);
    if (schema.keys && !plain && !(key in schema.keys)) complain(place(key));
  };
  return {
    get(target, key, receiver) {
      check(key);
      const found = Reflect.get(target, key, receiver);
      const item = /^\d+$/.test(String(key)) ? schema.items : null;
      return watch(found, schema.keys ? schema.keys[key] : item, place(key));
    },
    set(target, key, value) {
      check(key);
      return Reflect.set(target, key, value);
    },
  };
}

globalThis.watched = (server) =>
  Object.fromEntries(
    Object.entries(CONTRACT).map(([name, [request, view]]) => [
      name,
      async (asked) => {
        for (const key of Object.keys(asked))
          if (!(key in request.keys)) complain(`${name}({${key}})`);
        return watch(await server[name](asked), view, name);
      },
    ]),
  );
