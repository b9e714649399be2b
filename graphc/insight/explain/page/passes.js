// The story of the passes: what each changed, line by line, and what it said.
function passesView() {
  const { stages } = state.record;
  const list = h("ul", { class: "list", role: "listbox", "aria-label": "Passes" });
  const page = h("div", { class: "pad" });
  const view = h("section", { class: "view whole", id: "view-passes" }, h("div", { class: "tools" }, h("span", { class: "faint" }, "+ new   − gone   ~ computed in another way.  A click selects the node.")), h("div", { class: "columns" }, list, page));
  const items = stages.map((stage, i) => h("li", { role: "option", tabindex: 0, onclick: () => open(i), onkeydown: (e) => e.key === "Enter" && open(i) },
    h("span", {}, `${i}. ${stage.name}`), h("span", { class: "faint" }, i && stages[i - 1].count !== stage.count ? `${stages[i - 1].count} → ${stage.count}` : i ? "" : `${stage.count} nodes`)));
  list.append(...items);

  function open(i) {
    const stage = stages[i], filter = h("input", { type: "search", placeholder: "filter these lines", "aria-label": "Filter" });
    items.forEach((item, j) => item.classList.toggle("selected", i === j));
    const count = (mark) => stage.changes.filter(([m]) => m === mark).length;
    const remarks = h("div", { class: "remarks" }), diff = h("div", { class: "diff" });
    const summary = i === 0 ? `${stage.count} nodes, as traced` : stage.changes.length ? `${count("+")} new, ${count("~")} changed, ${count("-") - count("~")} gone; ${stage.ms.toFixed(1)} ms` : `the graph stays as it is; ${stage.ms.toFixed(1)} ms`;
    page.replaceChildren(h("h2", {}, stage.name), h("p", { class: "faint" }, summary), i ? filter : "", stage.remarks.length ? h("h2", {}, `Remarks (${stage.remarks.length})`) : "", remarks, stage.changes.length ? h("h2", {}, "Changes") : "", diff, stage.left ? h("p", { class: "faint" }, `and ${stage.left} lines more`) : "");
    filter.addEventListener("input", fill);
    fill();
    function fill() {
      const wanted = filter.value.toLowerCase(), has = (...texts) => !wanted || texts.some((text) => text.toLowerCase().includes(wanted));
      remarks.replaceChildren();
      diff.replaceChildren();
      const first = (names) => names.split(", ")[0].replace(/^%/, "");
      lines(remarks, stage.remarks.filter((r) => has(...r)), ([node, layer, message, loop]) => h("div", { onclick: () => select("node", loop || first(node)) }, h("code", { class: "hot" }, node), loop ? h("span", { class: "faint" }, ` in the loop %${loop}`) : "", layer ? h("span", { class: "faint" }, ` ${layer}`) : "", ` ${message}`), 300);
      lines(diff, stage.changes.filter((c) => has(...c)), ([mark, name, line]) => h("div", { class: mark === "-" ? "minus" : "plus", onclick: () => select("node", name) }, `${mark} ${line}`));
    }
  }
  view.open = open;
  open(stages.findIndex((stage) => stage.name === "fuse") >= 0 ? stages.findIndex((stage) => stage.name === "fuse") : 0);
  return view;
}
