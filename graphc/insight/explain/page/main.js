// Tabs, search, keys, and the panel that tells what is selected.
const TABS = [["times", "Times", timesView], ["graph", "Graph", graphView], ["passes", "Passes", passesView], ["kernels", "Kernels", kernelsView], ["memory", "Memory", memoryView]];
state.onTheme = [];

function openTab(name) {
  state.tab = name;
  for (const [key] of TABS) {
    document.getElementById(`view-${key}`).hidden = key !== name;
    document.getElementById(`tab-${key}`).setAttribute("aria-selected", key === name);
  }
  const view = document.getElementById(`view-${name}`);
  if (view.shown) view.shown();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  for (const redraw of state.onTheme) redraw();
}

// ---- the panel

function panel(chosen) {
  const aside = document.getElementById("selection");
  if (!chosen) {
    aside.replaceChildren(h("p", { class: "faint" }, "Select a node, layer or kernel: it is marked in every view. Press ? for keys."));
    return;
  }
  const fill = { node: aboutNode, layer: aboutLayer, kernel: aboutKernel }[chosen.kind];
  const shown = h("div", {}, h("button", { onclick: () => { openTab("graph"); select(chosen.kind, chosen.name, { show: true }); } }, "show in graph"), " ",
    h("button", { onclick: () => { openTab("graph"); toggleSelected(); } }, "expand or collapse"));
  aside.replaceChildren(...fill(chosen.name).filter((part) => part !== null), shown);
}

const line = (text) => h("div", { class: "line" }, text);

function timing(step) {
  if (!step) return null;
  const parts = [`${scaled(step.flops, "FLOP")}, ${scaled(step.bytes, "B")}`];
  if (step.us !== null) parts.unshift(`${micro(step.us)}: ${rate(step.flops, step.us).toFixed(1)} GFLOP/s, ${rate(step.bytes, step.us).toFixed(1)} GB/s, ${percent(step.share)} of the roof`);
  return h("div", {}, ...parts.map((part) => h("div", {}, part)));
}

function aboutNode(name) {
  const at = findNode(name), outer = owner(name), step = state.step.get(outer);
  if (!at) return [h("h2", {}, `%${name}`), h("p", { class: "faint" }, "is in no stage that is kept here")];
  const { graph, i, stage } = at, node = graph.nodes[i];
  const readers = graph.edges.map((operands, j) => (operands.includes(i) ? j : -1)).filter((j) => j >= 0);
  const links = (indices) => h("div", {}, ...indices.slice(0, 30).flatMap((j) => [link("node", graph.nodes[j][0]), " "]), indices.length > 30 ? `and ${indices.length - 30} more` : "");
  const said = state.record.stages.flatMap((s) => s.remarks.filter(([names, , , loop]) => (loop ? loop === name : names.split(", ").includes(`%${name}`))).map(([names, , message, loop]) => `${s.name}: ${loop ? `${names} in it ` : ""}${message}`));
  const body = state.record.bodies[name];
  return [
    h("h2", {}, `%${name}`), line(node[5]),
    h("div", {}, "layer ", link("layer", node[3]), h("span", { class: "faint" }, ` ${node[4]}, stage ${stage}`)),
    outer && outer !== name ? h("div", {}, "computed in ", link("node", outer)) : null,
    step ? h("div", {}, "kernels ", ...step.kernels.flatMap((kernel) => [link("kernel", kernel), " "])) : null,
    timing(step),
    graph.edges[i].length ? h("h3", {}, "operands") : null, links(graph.edges[i]),
    readers.length ? h("h3", {}, "read by") : null, links(readers),
    said.length ? h("h3", {}, "remarks") : null, ...said.slice(0, 12).map((text) => h("p", { class: "faint line" }, text)),
    body ? h("h3", {}, body.loop ? `every step, ${body.lines.length} lines` : `body, ${body.lines.length} nodes`) : null,
    body && body.loop ? h("p", { class: "faint" }, body.loop) : null, ...(body ? body.lines : []).slice(0, 120).map(([text]) => line(text)),
  ];
}

// The node where it was last seen before kernels were made of nodes, or in the last stage.
function findNode(name) {
  for (const { graph, name: stage } of [...state.graphs].reverse()) {
    const i = lookup(graph).get(name);
    if (i !== undefined) return { graph, i, stage };
  }
  return null;
}

function lookup(graph) {
  if (!graph.lookup) Object.defineProperty(graph, "lookup", { value: new Map(graph.nodes.map((node, i) => [node[0], i])) });
  return graph.lookup;
}

function aboutLayer(name) {
  const steps = state.layerSteps.get(name) || [];
  const counts = state.graphs.map(({ graph, name: stage }) => [stage, graph.nodes.filter((node, i) => node[3] === name && i >= graph.inputs).length]);
  const held = Object.entries(state.record.bodies).filter(([outer, inner]) => (state.step.get(outer) || {}).layer !== name && inner.lines.some(([, layer]) => layer === name)).map(([outer]) => outer);
  return [
    h("h2", {}, name || "(no layer)"),
    h("div", { class: "faint" }, counts.map(([stage, count]) => `${count} nodes in ${stage}`).join(", ")),
    ...steps.flatMap((step) => [h("h3", {}, step.direction), h("div", {}, link("node", step.node), " ", ...step.kernels.flatMap((kernel) => [link("kernel", kernel), " "])), timing(step)]),
    held.length ? h("h3", {}, "also in the kernels of") : null,
    h("div", {}, ...held.slice(0, 30).flatMap((outer) => [link("node", outer), " "])),
  ];
}

function aboutKernel(name) {
  const kernel = state.kernel.get(name);
  return [
    h("h2", {}, name), h("div", {}, kernel.computes),
    h("div", {}, h("button", { onclick: () => { openTab("kernels"); select("kernel", name, { show: true }); } }, "show code")),
    h("h3", {}, "computes"), h("div", {}, ...kernel.nodes.slice(0, 60).flatMap((node) => [link("node", node), " "])),
    ...kernel.nodes.slice(0, 10).map((node) => timing(state.step.get(node))),
  ];
}

// ---- search

function setUpSearch() {
  const input = document.getElementById("search"), list = document.getElementById("found");
  const entries = [
    ...state.layers.filter(Boolean).map((name) => ["layer", name, name, name.toLowerCase()]),
    ...state.record.kernels.map(({ name, computes }) => ["kernel", name, `${name}: ${computes}`, `${name} ${computes}`.toLowerCase()]),
  ];
  const seen = new Set();
  for (const { graph } of [...state.graphs].reverse()) {
    for (const node of graph.nodes) {
      if (seen.has(node[0])) continue;
      seen.add(node[0]);
      entries.push(["node", node[0], `${node[5]}${node[3] ? `  ${node[3]}` : ""}`, `%${node[0]} ${node[1]} ${node[3]} ${node[2]}`.toLowerCase()]);
    }
  }
  for (const [loop, body] of Object.entries(state.record.bodies)) {
    if (body.loop) for (const [text, layer] of body.lines) entries.push(["in loop", loop, `%${loop}: ${text.trim()}${layer ? `  ${layer}` : ""}`, `${text} ${layer}`.toLowerCase()]);
  }
  let hits = [], at = 0;
  function fill() {
    const wanted = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    hits = wanted.length ? entries.filter((entry) => wanted.every((word) => entry[3].includes(word))) : [];
    const exact = input.value.trim().toLowerCase().replace(/^%/, "");
    hits.sort((a, b) => (b[1].toLowerCase() === exact) - (a[1].toLowerCase() === exact));
    at = 0;
    list.replaceChildren(...hits.slice(0, 60).map((hit, i) => h("li", { role: "option", onmousedown: (e) => { e.preventDefault(); choose(i); } }, h("span", { class: "kind" }, hit[0]), h("span", { class: "text" }, hit[2]))));
    if (hits.length > 60) list.append(h("li", { class: "faint" }, `${hits.length - 60} more`));
    if (wanted.length && !hits.length) list.append(h("li", { class: "faint" }, "nothing found"));
    list.hidden = !wanted.length;
    mark();
  }
  function mark() { [...list.children].forEach((item, i) => item.setAttribute("aria-selected", i === at && i < hits.length)); if (list.children[at]) list.children[at].scrollIntoView({ block: "nearest" }); }
  function choose(i) {
    if (!hits[i]) return;
    list.hidden = true;
    input.blur();
    if (state.tab === "times" || state.tab === "memory" || state.tab === "passes") openTab(hits[i][0] === "kernel" ? "kernels" : "graph");
    select(hits[i][0] === "in loop" ? "node" : hits[i][0], hits[i][1], { show: true });
    if (graphState.ready && state.tab === "graph") graphState.ready.then(() => markGraph(true));
  }
  input.addEventListener("input", fill);
  input.addEventListener("focus", () => { if (input.value) fill(); });
  input.addEventListener("blur", () => { list.hidden = true; });
  input.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) { at = Math.max(0, Math.min(Math.min(hits.length, 60) - 1, at + moves[event.key])); mark(); event.preventDefault(); }
    else if (event.key === "Enter") choose(at);
    else if (event.key === "Escape") { input.value = ""; list.hidden = true; input.blur(); }
    event.stopPropagation();
  });
}

// ---- keys

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const isControl = /^(BUTTON|A|LI|TH)$/.test(event.target.tagName) || event.target.getAttribute("role") === "button";
  const keys = {
    "/": () => { document.getElementById("search").focus(); document.getElementById("search").select(); },
    "?": () => document.getElementById("keys").showModal(),
    t: swapTheme, Escape: () => { document.activeElement.blur(); select(null); }, j: () => move(1), k: () => move(-1), e: () => { openTab("graph"); toggleSelected(); },
    "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit,
    Enter: () => { if (!isControl && state.selected) { openTab("graph"); select(state.selected.kind, state.selected.name, { show: true }); if (graphState.ready) graphState.ready.then(() => markGraph(true)); } },
  };
  const tab = TABS[Number(event.key) - 1];
  if (tab) openTab(tab[0]);
  else if (keys[event.key]) { keys[event.key](); if (event.key === "/") event.preventDefault(); }
}

function move(by) {
  const { steps } = state.record, chosen = state.selected;
  const at = chosen ? steps.findIndex(isRelated) : -1;
  const next = steps[Math.max(0, Math.min(steps.length - 1, at + by))];
  document.activeElement.blur(); // Enter is for the selection now, not for what was clicked last
  if (next) select("node", next.node, { show: true });
}

function swapTheme() { setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); }

async function begin() {
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  await loadRecord();
  document.getElementById("name").textContent = state.record.name;
  for (const [i, [key, title, make]] of TABS.entries()) {
    document.getElementById("tabs").append(h("button", { id: `tab-${key}`, role: "tab", title: `key ${i + 1}`, onclick: () => openTab(key) }, title));
    document.getElementById("views").append(make());
  }
  state.listeners.push(panel);
  panel(null);
  setUpSearch();
  document.getElementById("theme").addEventListener("click", swapTheme);
  document.getElementById("help").addEventListener("click", () => document.getElementById("keys").showModal());
  document.addEventListener("keydown", onKey);
  openTab("times");
  document.documentElement.dataset.ready = "yes";
}

begin();
