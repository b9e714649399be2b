// Kernels: schedule and loops, LLVM IR and assembly side by side.
function kernelsView() {
  const { record } = state, time = new Map();
  for (const step of record.steps) step.kernels.forEach((name, i) => time.set(name, (time.get(name) || 0) + (step.parts ? step.parts[i] : 0)));
  const sorted = [...record.kernels].sort((a, b) => (time.get(b.name) || 0) - (time.get(a.name) || 0));
  const list = h("ul", { class: "list", role: "listbox", "aria-label": "Kernels" }), page = h("div", { class: "kernel" });
  const items = new Map();
  for (const kernel of sorted) {
    const item = h("li", { role: "option", tabindex: 0, onclick: () => select("kernel", kernel.name), onkeydown: (e) => e.key === "Enter" && select("kernel", kernel.name) }, h("span", {}, kernel.name), h("span", { class: "faint" }, !record.runs ? "" : time.has(kernel.name) ? micro(time.get(kernel.name)) : "in a loop"));
    items.set(kernel.name, item);
    list.append(item);
  }
  const view = h("section", { class: "view whole", id: "view-kernels" }, h("div", { class: "tools" }, h("span", { class: "faint" }, `${sorted.length} kernels, ${record.runs ? "the slowest first" : "in order"}`)), h("div", { class: "columns" }, list, page));
  let shown = null;

  function open(name) {
    if (shown === name) return;
    shown = name;
    const kernel = state.kernel.get(name), schedule = kernel.loops.split("\n").find((line) => line.trim().startsWith("schedule")) || "";
    const users = kernel.nodes.flatMap((node) => [link("node", node), " "]);
    const head = h("div", { class: "pad" }, h("h2", {}, name), h("div", {}, kernel.computes), h("div", { class: "line" }, h("code", {}, schedule.trim())), h("div", {}, "for ", ...users.slice(0, 40), users.length > 40 ? `and ${users.length / 2 - 20} more` : ""));
    const levels = [["loops", "schedule and loops", /^\s*(for|unroll|vector|parallel|registers|split|kernel|schedule)\b/], ["llvm", "LLVM IR", /^(define|declare)|^\w[\w.]*:/], ["asm", "assembly", /^[\w.$]+:|\bv?fmadd|\bvfm/]];
    page.replaceChildren(head, h("div", { class: "levels" }, ...levels.map(([key, title, hot]) => h("section", {}, h("h3", {}, `${title} · ${kernel[key].split("\n").length} lines`), listing(kernel[key], hot)))));
  }

  function listing(text, hot) {
    const pre = h("pre", { tabindex: 0 });
    lines(pre, text.split("\n"), (line) => (hot.test(line) ? h("span", { class: "hot" }, `${line}\n`) : /^\s*(;|#|\/\/|\.)/.test(line) ? h("span", { class: "note" }, `${line}\n`) : document.createTextNode(`${line}\n`)), 1500);
    return pre;
  }

  state.listeners.push((chosen) => {
    const step = chosen && chosen.kind === "node" ? state.step.get(owner(chosen.name)) : null;
    const names = chosen && chosen.kind === "kernel" ? [chosen.name] : step ? step.kernels : chosen && chosen.kind === "layer" ? (state.layerSteps.get(chosen.name) || []).flatMap((s) => s.kernels) : [];
    for (const [name, item] of items) item.classList.toggle("selected", names.includes(name));
    if (names.length && state.kernel.has(names[0])) { open(names[0]); if (state.tab === "kernels") items.get(names[0]).scrollIntoView({ block: "nearest" }); }
  });
  if (sorted.length) open(sorted[0].name);
  return view;
}
