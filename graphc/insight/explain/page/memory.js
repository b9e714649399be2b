// The arena over time: a box per buffer, from the kernel that makes it to the last that reads it, at its offset.
function memoryView() {
  const { memory } = state.record, box = h("div", { class: "plot" }), hint = tip(box);
  const shape = ([name, offset, bytes, first, last, values]) => ({ name, offset, bytes, first, last, values });
  const buffers = memory.buffers.map(shape), end = Math.max(memory.positions.length, 1);
  const hue = (name) => [...name].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 360, 7);
  const where = (i) => memory.positions[i] || ["the end", "", ""];
  let plot, alive = buffers.filter((b) => b.first <= memory.peak && b.last >= memory.peak);
  const view = h("section", { class: "view", id: "view-memory" });
  const rows = Object.entries(memory.parts).filter(([, bytes]) => bytes);
  const total = rows.reduce((sum, [, bytes]) => sum + bytes, 0);
  const parts = h("div", { class: "facts" }, h("div", {}, h("b", {}, scaled(total, "B")), h("span", {}, "the whole step")), ...rows.map(([name, bytes]) => h("div", {}, h("b", {}, scaled(bytes, "B")), h("span", {}, name))));
  const note = `The arena has ${memory.arena.toLocaleString()} bytes; ${memory.bound.toLocaleString()} are alive at once (no plan can need less), ${memory.unshared.toLocaleString()} without sharing. Drag to zoom, double-click to see all.`;
  const table_ = h("div");
  view.append(h("h2", {}, "Memory of a step"), parts, h("h2", {}, "The arena over time"), box, h("p", { class: "faint" }, note), table_);

  function draw(u) {
    const { ctx } = u, left = (x) => u.valToPos(x, "x", true), top = (y) => u.valToPos(y, "y", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    for (const buffer of buffers) {
      const isChosen = related(buffer), x = left(buffer.first), y = top(buffer.offset + buffer.bytes);
      const width = Math.max(left(buffer.last + 1) - x, 1), height = Math.max(top(buffer.offset) - y, 1);
      ctx.globalAlpha = isChosen ? 1 : 0.65;
      ctx.fillStyle = `hsl(${hue(buffer.name)} 50% 55%)`;
      ctx.fillRect(x, y, width, height);
      ctx.globalAlpha = 1;
      ctx.lineWidth = (isChosen ? 3 : 0.5) * devicePixelRatio;
      ctx.strokeStyle = isChosen ? colour("ink") : colour("ground");
      ctx.strokeRect(x, y, width, height);
    }
    ctx.strokeStyle = colour("minus");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([5, 4]);
    ctx.beginPath();
    ctx.moveTo(left(memory.peak + 0.5), u.bbox.top);
    ctx.lineTo(left(memory.peak + 0.5), u.bbox.top + u.bbox.height);
    ctx.stroke();
    ctx.restore();
  }

  function related(buffer) {
    const chosen = state.selected;
    if (!chosen) return false;
    if (chosen.kind === "node") return buffer.values.includes(chosen.name) || buffer.values.includes(owner(chosen.name));
    if (chosen.kind === "layer") return where(buffer.first)[1] === chosen.name;
    return isRelated(state.step.get(where(buffer.first)[0]) || { kernels: [] });
  }

  const under = (u) => {
    const x = u.posToVal(u.cursor.left, "x"), y = u.posToVal(u.cursor.top, "y");
    return buffers.find((b) => x >= b.first && x < b.last + 1 && y >= b.offset && y < b.offset + b.bytes);
  };

  function build() {
    if (plot) plot.destroy();
    const axis = (label, size, values) => ({ label, stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, size, values });
    plot = new uPlot({
      width: Math.max(box.clientWidth, 300), height: 420, cursor: { points: { show: false }, drag: { x: true, y: true, uni: 20 } },
      scales: { x: { time: false, range: (u, a, b) => (a === b ? [0, end] : [a, b]) }, y: { range: (u, a, b) => (a === null || b === 1 ? [0, memory.arena] : [a, b]) } },
      axes: [axis("kernel, in order of execution", 40), axis("bytes", 84, (u, ticks) => ticks.map((v) => scaled(Math.round(v), "B")))],
      series: [{}, { show: true, stroke: "transparent", points: { show: false } }],
      hooks: { draw: [draw], setCursor: [(u) => {
        const buffer = u.cursor.left >= 0 ? under(u) : null;
        if (!buffer) return hint.hide();
        const made = where(buffer.first);
        hint.show(u.cursor.left + u.over.offsetLeft, u.cursor.top + u.over.offsetTop, `%${buffer.values.join(", %")}`, `${made[1] || "–"} ${made[2]}`, `${buffer.bytes.toLocaleString()} bytes at ${buffer.offset.toLocaleString()}, kernels ${buffer.first} to ${buffer.last}`);
      }] },
    }, [[0, end], [0, 1]], box);
    plot.over.addEventListener("click", () => { const buffer = under(plot); if (buffer) select("node", buffer.values[0]); });
    plot.over.addEventListener("mouseleave", () => hint.hide());
  }

  alive = alive.sort((a, b) => b.bytes - a.bytes);
  const made = table([
    ["alive at the fullest point", (b) => b.name, (b) => link("node", b.name), false],
    ["layer", (b) => where(b.first)[1], (b) => where(b.first)[1] || "–", false, "wide"],
    ["bytes", (b) => b.bytes, (b) => b.bytes.toLocaleString(), true],
    ["made by", (b) => b.first, (b) => `%${where(b.first)[0]}`, false],
    ["last read by", (b) => b.last, (b) => `%${where(b.last)[0]}`, false],
  ], alive, { sort: 2, onclick: (b) => select("node", b.name) });
  table_.append(h("h2", {}, `At %${where(memory.peak)[0]} (${where(memory.peak)[1] || "–"}, ${where(memory.peak)[2]})`), made.element);
  state.listeners.push(() => {
    if (plot) plot.redraw(false);
    for (const [buffer, element] of made.rows) element.classList.toggle("selected", related(buffer));
  });
  state.onTheme.push(() => plot && build());
  new ResizeObserver(() => { if (box.clientWidth && (!plot || Math.abs(plot.width - box.clientWidth) > 2)) build(); }).observe(box);
  return view;
}
