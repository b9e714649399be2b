// The graph of a stage. Nodes of one layer and direction are one box until it is expanded. Layered placement is made by
// dagre in a worker, each direction on its own: forward downwards, backward upwards beside it, so that a layer and its
// gradient lie at about the same height and no edge spans the whole picture.
const MOST_VISIBLE = 1500;
const MOST_LOOSE = 60; // nodes of no layer that are drawn one by one unless they are many, as an optimizer's are

function placeInWorker() {
  const source = `${document.getElementById("dagre").textContent}
    self.onmessage = ({ data }) => {
      try {
        const placed = {};
        let left = 0;
        for (const direction of ["forward", "backward", "update"]) {
          const nodes = data.nodes.filter((node) => node.direction === direction);
          if (!nodes.length) continue;
          const graph = new dagre.graphlib.Graph();
          graph.setGraph({ rankdir: "TB", nodesep: 18, ranksep: 34, edgesep: 8, ranker: nodes.length > 400 ? "longest-path" : "network-simplex" });
          graph.setDefaultEdgeLabel(() => ({}));
          for (const node of nodes) graph.setNode(node.id, { width: node.width, height: 30 });
          for (const [from, to] of data.edges) if (from !== to && graph.hasNode(from) && graph.hasNode(to)) graph.setEdge(from, to);
          dagre.layout(graph);
          const { width, height } = graph.graph();
          for (const id of graph.nodes()) {
            const { x, y } = graph.node(id);
            placed[id] = { x: left + x, y: direction === "backward" ? height - y : y };
          }
          left += width + 90;
        }
        self.postMessage({ ticket: data.ticket, placed });
      } catch (error) {
        self.postMessage({ ticket: data.ticket, failed: String(error) });
      }
    };`;
  return new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}

const graphState = { stage: 0, expanded: new Set(), cy: null, worker: null, ticket: 0, home: new Map(), ready: null };

const groupOf = (node) => `${node[3]}|${node[4]}`;
const isShown = (graph, i) => i >= graph.inputs || graph.nodes[i][1] === "input";

// What is drawn: elements with their members, and the edges between them.
function visible(graph) {
  const members = new Map();
  graph.nodes.forEach((node, i) => {
    if (!isShown(graph, i)) return;
    const key = groupOf(node);
    if (!members.has(key)) members.set(key, []);
    members.get(key).push(i);
  });
  const elements = new Map(), home = new Map();
  for (const [key, indices] of members) {
    const isOpen = graphState.expanded.has(key) || indices.length === 1 || (!graph.nodes[indices[0]][3] && indices.length <= MOST_LOOSE);
    const split = isOpen ? indices.map((i) => [`n${i}`, [i]]) : [[`g${key}`, indices]];
    for (const [id, list] of split) {
      elements.set(id, { id, key, list });
      for (const i of list) home.set(i, id);
    }
  }
  const edges = new Map();
  graph.edges.forEach((operands, i) => {
    for (const operand of operands) {
      const [from, to] = [home.get(operand), home.get(i)];
      if (from && to && from !== to) edges.set(`${from}>${to}`, [from, to]);
    }
  });
  return { elements, edges, home, members };
}

function labelOf(graph, element) {
  const node = graph.nodes[element.list[0]];
  const layer = node[3].split("/").pop();
  if (element.id.startsWith("g")) return `${layer || `${node[4]}, no layer`} (${element.list.length})`;
  return node[1] === "input" ? `%${node[0]}` : `${node[1]}${element.list.length === 1 && layer && !graphState.expanded.has(element.key) ? ` · ${layer}` : ""}`;
}

function heatOf(graph, element, hottest) {
  const us = element.list.reduce((sum, i) => sum + ((state.step.get(graph.nodes[i][0]) || {}).us || 0), 0);
  return hottest ? Math.sqrt(us / hottest) : 0;
}

function graphView() {
  const stages = h("select", { "aria-label": "Stage", onchange: (e) => { graphState.stage = Number(e.target.value); graphState.expanded.clear(); drawGraph(); } });
  state.graphs.forEach((stage, i) => stages.append(h("option", { value: i }, `${i}: ${i === state.graphs.length - 1 ? `${stage.name} (kernels)` : stage.name}, ${stage.count} nodes`)));
  graphState.stage = state.graphs.length - 1;
  stages.value = graphState.stage;
  graphState.status = h("span", { class: "state", role: "status" });
  graphState.host = h("div", { class: "cy" });
  graphState.busy = h("div", { class: "busy", hidden: true }, "placing …");
  const tools = h("div", { class: "tools" }, stages,
    h("button", { onclick: () => zoom(1.3) }, "+"), h("button", { onclick: () => zoom(1 / 1.3) }, "−"), h("button", { onclick: fit }, "fit"),
    h("button", { id: "expand-all", onclick: expandAll }, "expand all"), h("button", { onclick: () => { graphState.expanded.clear(); drawGraph(); } }, "collapse all"), legend(), graphState.status);
  const view = h("section", { class: "view whole", id: "view-graph" }, tools, h("div", { id: "canvas" }, graphState.host, graphState.busy));
  view.shown = () => { if (!graphState.cy) drawGraph(); else graphState.cy.resize(); };
  state.listeners.push((chosen, options) => { markGraph(options.show && state.tab === "graph"); });
  state.onTheme.push(() => graphState.cy && graphState.cy.style(graphStyle()));
  return view;
}

function drawGraph(focus = null) {
  const graph = state.graphs[graphState.stage].graph, shown = visible(graph), ticket = ++graphState.ticket;
  graphState.home = shown.home;
  graphState.members = shown.members;
  const heats = [...shown.elements.values()].map((e) => e.list.reduce((sum, i) => sum + ((state.step.get(graph.nodes[i][0]) || {}).us || 0), 0));
  const hottest = Math.max(0, ...heats);
  const nodes = [...shown.elements.values()].map((element) => {
    const label = labelOf(graph, element), node = graph.nodes[element.list[0]];
    return { id: element.id, key: element.key, label, direction: node[4] || "forward", width: Math.min(230, 16 + 6.6 * label.length), group: element.id.startsWith("g") ? 1 : 0, heat: heatOf(graph, element, hottest), first: element.list[0] };
  });
  const edges = [...shown.edges.values()];
  graphState.busy.hidden = false;
  graphState.status.textContent = `${nodes.length} boxes, ${edges.length} edges`;
  if (graphState.worker) graphState.worker.terminate();
  graphState.worker = placeInWorker();
  graphState.ready = new Promise((resolve) => {
    graphState.worker.onmessage = ({ data }) => {
      if (data.ticket !== graphState.ticket) return;
      graphState.busy.hidden = true;
      if (data.failed) graphState.status.textContent += "; placed breadth first";
      fillGraph(nodes, edges, data.placed || null, focus);
      resolve();
    };
  });
  graphState.worker.postMessage({ ticket, nodes: nodes.map(({ id, direction, width }) => ({ id, direction, width })), edges });
}

function fillGraph(nodes, edges, placed, focus) {
  const elements = [
    ...nodes.map((data) => ({ group: "nodes", data, position: placed ? { ...placed[data.id] } : undefined })),
    ...edges.map(([source, target]) => ({ group: "edges", data: { id: `${source}>${target}`, source, target } })),
  ];
  if (!graphState.cy) {
    graphState.cy = cytoscape({ container: graphState.host, style: graphStyle(), minZoom: 0.02, maxZoom: 4, wheelSensitivity: 0.3, textureOnViewport: true, hideEdgesOnViewport: nodes.length > 800, boxSelectionEnabled: false, autoungrabify: true });
    graphState.cy.on("tap", "node", ({ target }) => pick(target.data()));
    graphState.cy.on("dbltap", "node", ({ target }) => toggle(target.data("key")));
    graphState.cy.on("tap", (event) => { if (event.target === graphState.cy) select(null); });
  }
  const { cy } = graphState;
  cy.batch(() => { cy.elements().remove(); cy.add(elements); });
  cy.layout(placed ? { name: "preset", fit: false } : { name: "breadthfirst", directed: true, spacingFactor: 1.1, fit: false }).run();
  cy.resize();
  const kept = focus ? cy.nodes().filter((node) => node.data("key") === focus) : null;
  if (kept && kept.length) cy.fit(kept, 120); else start(cy);
  if (cy.zoom() > 1.5) { cy.zoom(1.5); cy.center(kept && kept.length ? kept : undefined); }
  markGraph(false);
}

// All of it where it can be read, else its beginning at a readable size.
function start(cy) {
  cy.fit(undefined, 30);
  if (cy.zoom() >= 0.45 || !cy.nodes().length) return;
  const top = cy.nodes().min((node) => node.position("y") + (node.data("direction") === "forward" ? 0 : 1e7)).ele;
  cy.zoom(0.7);
  const { x, y } = top.position();
  cy.pan({ x: cy.width() / 2 - 0.7 * x, y: 60 - 0.7 * y });
}

function graphStyle() {
  const [ink, line, faint, mark, raised, ground, accent] = ["ink", "line", "faint", "mark", "raised", "ground", "accent"].map(colour);
  const sides = ["forward", "backward", "update"].map((direction) => ({ selector: `node[direction = "${direction}"]`, style: { "border-color": colour(direction) } }));
  return [
    { selector: "node", style: { label: "data(label)", shape: "round-rectangle", width: "data(width)", height: 28, "font-size": 11, "font-family": "system-ui, sans-serif", "text-valign": "center", "text-max-width": 224, "text-wrap": "ellipsis", color: ink, "background-color": `mapData(heat, 0, 1, ${raised}, ${mark})`, "border-width": 1.5, "border-color": faint, "min-zoomed-font-size": 5 } },
    ...sides,
    { selector: "node[group = 1]", style: { "border-width": 3, "border-style": "double" } },
    { selector: "edge", style: { width: 1, "line-color": line, "target-arrow-color": faint, "target-arrow-shape": "triangle", "arrow-scale": 0.7, "curve-style": "straight" } },
    { selector: "node.chosen", style: { "border-color": accent, "border-width": 5, "border-style": "solid", "text-background-color": ground } },
    { selector: "edge.near", style: { "line-color": accent, "target-arrow-color": accent, width: 2 } },
  ];
}

function pick(data) {
  const graph = state.graphs[graphState.stage].graph, node = graph.nodes[data.first];
  if (data.group) select("layer", node[3]); else select("node", node[0]);
}

function toggle(key) {
  const count = graphState.members.get(key).length;
  if (!graphState.expanded.has(key) && count > MOST_VISIBLE) {
    graphState.status.textContent = `${count} nodes are too many at once; a search finds each`;
    return;
  }
  if (graphState.expanded.has(key)) graphState.expanded.delete(key); else graphState.expanded.add(key);
  drawGraph(key);
}

function expandAll() {
  const graph = state.graphs[graphState.stage].graph, shown = visible(graph);
  const count = [...shown.members.values()].reduce((sum, list) => sum + list.length, 0);
  if (count > MOST_VISIBLE) {
    graphState.status.textContent = `${count} nodes are too many at once; double-click layers to expand them`;
    return;
  }
  for (const key of shown.members.keys()) graphState.expanded.add(key);
  drawGraph();
}

function toggleSelected() {
  const chosen = state.selected, graph = state.graphs[graphState.stage].graph;
  if (!chosen) return;
  const keys = new Set(graph.nodes.filter((node, i) => isShown(graph, i) && isChosen(node)).map(groupOf));
  const isOpen = [...keys].some((key) => graphState.expanded.has(key));
  for (const key of keys) if (isOpen) graphState.expanded.delete(key); else graphState.expanded.add(key);
  if (keys.size) drawGraph([...keys][0]);
}

// Whether a node of the drawn stage is what is selected, or ended in it, or it in the node.
function isChosen(node) {
  const chosen = state.selected;
  if (!chosen) return false;
  if (chosen.kind === "layer") return node[3] === chosen.name;
  if (chosen.kind === "kernel") { const step = state.step.get(owner(node[0])); return Boolean(step && step.kernels.includes(chosen.name)); }
  return node[0] === chosen.name || (graphState.stage === state.graphs.length - 1 && node[0] === owner(chosen.name));
}

function markGraph(center) {
  const { cy } = graphState;
  if (!cy) return;
  const graph = state.graphs[graphState.stage].graph, ids = new Set();
  graph.nodes.forEach((node, i) => { if (graphState.home.has(i) && isChosen(node)) ids.add(graphState.home.get(i)); });
  cy.batch(() => {
    cy.elements(".chosen, .near").removeClass("chosen near");
    for (const id of ids) { const found = cy.getElementById(id); found.addClass("chosen"); found.connectedEdges().addClass("near"); }
  });
  const chosen = cy.nodes(".chosen");
  if (center && chosen.length) { cy.zoom(Math.max(cy.zoom(), 0.8)); cy.center(chosen[0]); }
}

function zoom(factor) {
  const { cy } = graphState;
  if (cy) cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
}

function fit() { if (graphState.cy) graphState.cy.fit(undefined, 30); }
