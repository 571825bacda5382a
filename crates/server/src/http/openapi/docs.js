// Shows /api/openapi.json. Texts go in as text, never as markup.
"use strict";

const METHODS = ["get", "post", "patch", "put", "delete"];

/** An element with text and children. */
function element(name, content = "", ...children) {
  const made = document.createElement(name);
  made.textContent = content;
  made.append(...children);
  return made;
}

/** A schema with its references put in, down to a depth that a person still reads. */
function resolve(spec, schema, depth = 0) {
  if (schema === null || typeof schema !== "object") {
    return schema;
  }
  if (typeof schema.$ref === "string") {
    const target = schema.$ref.slice(2).split("/").reduce((at, key) => at?.[key], spec);
    return depth > 6 ? schema.$ref : resolve(spec, target, depth + 1);
  }
  if (Array.isArray(schema)) {
    return schema.map((item) => resolve(spec, item, depth));
  }
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, resolve(spec, value, depth)]));
}

function schemaOf(spec, content) {
  const [[type, { schema }] = ["", {}]] = Object.entries(content ?? {});
  return type === "" ? "" : `${type}\n${JSON.stringify(resolve(spec, schema ?? {}), null, 2)}`;
}

function parametersTable(parameters) {
  const rows = parameters.map((parameter) => {
    const type = [parameter.schema?.type ?? ""].flat().join(", ");
    const where = `${parameter.in}${parameter.required ? ", required" : ""}`;
    const cells = [parameter.name, where, type, parameter.description ?? ""];
    return element("tr", "", ...cells.map((cell) => element("td", cell)));
  });
  const head = element("tr", "", ...["parameter", "where", "type", "what"].map((cell) => element("th", cell)));
  return element("table", "", head, ...rows);
}

/** What is inside is made when somebody opens it. */
function fill(box, spec, item, operation) {
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
  if (operation.description) {
    box.append(element("p", operation.description));
  }
  if (parameters.length > 0) {
    box.append(parametersTable(parameters));
  }
  if (operation.requestBody) {
    box.append(element("h3", "Body"), element("pre", schemaOf(spec, operation.requestBody.content)));
  }
  for (const [status, response] of Object.entries(operation.responses ?? {})) {
    const answer = resolve(spec, response);
    if (Number(status) < 400) {
      box.append(element("h3", `${status} ${answer.description ?? ""}`));
      const schema = schemaOf(spec, answer.content);
      if (schema !== "") {
        box.append(element("pre", schema));
      }
    }
  }
  const problems = Object.keys(operation.responses ?? {}).filter((status) => Number(status) >= 400);
  box.append(element("p", `Errors as application/problem+json: ${problems.join(", ")}`));
}

function operationBox(spec, path, method, item, operation) {
  const title = element("summary", "", element("b", method.toUpperCase()), element("code", path));
  title.append(` ${operation.summary ?? ""}`);
  const box = element("details", "", title);
  box.dataset.text = `${method} ${path} ${operation.summary ?? ""} ${(operation.tags ?? []).join(" ")}`.toLowerCase();
  box.addEventListener("toggle", () => box.childElementCount === 1 && fill(box, spec, item, operation));
  return box;
}

function show(spec) {
  const sections = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const tag = operation.tags?.[0] ?? "other";
      const section = sections.get(tag) ?? element("section", "", element("h2", tag));
      section.append(operationBox(spec, path, method, item, operation));
      sections.set(tag, section);
    }
  }
  document.getElementById("version").textContent = spec.info.version;
  document.getElementById("operations").append(...sections.values());
  const count = document.querySelectorAll("details").length;
  document.getElementById("state").textContent = `${count} operations`;
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/);
  for (const section of document.querySelectorAll("section")) {
    const boxes = [...section.querySelectorAll("details")];
    for (const box of boxes) {
      box.hidden = !words.every((word) => box.dataset.text.includes(word));
    }
    section.hidden = boxes.every((box) => box.hidden);
  }
}

document.getElementById("find").addEventListener("input", (event) => filter(event.target.value));
fetch("/api/openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`status ${answer.status}`))))
  .then(show)
  .catch((error) => {
    document.getElementById("state").textContent = `The document could not be loaded (${error.message}). Load the page again.`;
  });
