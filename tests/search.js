// Answers queries with Sphinx's own search: node search.js SITE QUERY... prints a JSON list of lists of pages, best first.
const fs = require("fs");
const [site, ...queries] = process.argv.slice(2);
const read = (name) => fs.readFileSync(`${site}/${name}`, "utf8");

const setup = `
const SPHINX_HIGHLIGHT_ENABLED = false;
const DOCUMENTATION_OPTIONS = {};
const window = globalThis;
const document = {
  readyState: "loading",
  addEventListener: () => {},
  documentElement: { dataset: { content_root: "" } },
  getElementById: () => ({ children: [], childNodes: [], removeChild: () => {} }),
};
const _ready = () => {};
const _ = (text) => text;
`;
const answer = `
return queries.map((query) => Search._performSearch(...Search._parseQuery(query)).map((result) => result[0]).reverse());
`;
const sources = ["_static/language_data.js", "_static/searchtools.js", "searchindex.js"].map(read);
const search = new Function("queries", [setup, ...sources, answer].join("\n"));
console.log(JSON.stringify(search(queries)));
