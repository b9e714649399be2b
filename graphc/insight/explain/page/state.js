"use strict";
// What is shown and what is selected. Views register for changes; selecting in one view is selecting in all.
const state = { record: null, tab: "times", selected: null, listeners: [] };

async function loadRecord() {
  const text = document.getElementById("record").textContent.trim();
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  state.record = JSON.parse(await new Response(stream).text());
  index(state.record);
}

// Tables that lead from a node to its step, from a kernel to its nodes, from a layer to its steps.
function index(record) {
  state.step = new Map();
  state.layerSteps = new Map();
  for (const step of record.steps) {
    state.step.set(step.node, step);
    if (!state.layerSteps.has(step.layer)) state.layerSteps.set(step.layer, []);
    state.layerSteps.get(step.layer).push(step);
  }
  state.kernel = new Map(record.kernels.map((kernel) => [kernel.name, kernel]));
  state.graphs = record.stages.filter((stage) => stage.graph);
  state.fused = state.graphs[state.graphs.length - 1].graph;
  state.fusedNode = new Map(state.fused.nodes.map((node, i) => [node[0], i]));
  state.inside = new Map(); // a node of an earlier stage -> the kernel's node it ended in
  for (const [outer, body] of Object.entries(record.bodies)) {
    if (body.loop) continue; // names in a loop's body are its own
    for (const [line] of body.lines) {
      const left = line.slice(0, line.indexOf(" = "));
      for (const name of left.split(", ")) state.inside.set(name.slice(1), outer);
    }
  }
  state.layers = [...new Set(state.graphs.flatMap((stage) => stage.graph.nodes.map((node) => node[3])))];
}

// A selection is {kind: "node" | "layer" | "kernel", name}.
function select(kind, name, options = {}) {
  const same = state.selected && state.selected.kind === kind && state.selected.name === name;
  state.selected = kind ? { kind, name } : null;
  if (!same || options.show) for (const listener of state.listeners) listener(state.selected, options);
}

// The fused node behind a name of any stage, or null.
function owner(name) {
  if (state.step.has(name)) return name;
  return state.inside.get(name) || null;
}

// Whether a step belongs to what is selected.
function isRelated(step) {
  const chosen = state.selected;
  if (!chosen) return false;
  if (chosen.kind === "layer") return step.layer === chosen.name;
  if (chosen.kind === "kernel") return step.kernels.includes(chosen.name);
  return step.node === owner(chosen.name);
}
