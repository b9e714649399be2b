// Times: the whole step in numbers, the roofline, time by layer and by kernel.
function timesView() {
  const { record } = state;
  const view = h("section", { class: "view", id: "view-times" });
  const measured = record.runs !== null;
  view.append(facts(record));
  if (record.roof && measured) view.append(h("h2", {}, "Roofline"), roofline(record));
  view.append(h("h2", {}, "Layers"), legend(), layerTable(record, measured));
  view.append(h("h2", {}, "Computations in order"), stepTable(record, measured));
  return view;
}

function facts(record) {
  const sum = (key) => record.steps.reduce((total, step) => total + step[key], 0);
  const flops = sum("flops"), bytes = sum("bytes");
  const items = [];
  if (record.runs) {
    items.push([micro(record.runs.us), `a run, median of ${record.runs.count}`]);
    items.push([`${rate(flops, record.runs.us).toFixed(1)} GFLOP/s`, record.roof ? `of ${record.roof.gflops.toFixed(0)} measured here` : "reached"]);
  }
  items.push([scaled(flops, "FLOP"), "computed"], [scaled(bytes, "B"), "between kernels and memory"]);
  items.push([String(record.kernels.length), `kernels for ${record.stages[0].count} nodes`]);
  items.push([scaled(record.memory.arena, "B"), `arena; ${scaled(record.memory.unshared, "B")} without sharing`]);
  const boxes = items.map(([value, text]) => h("div", {}, h("b", {}, value), h("span", {}, text)));
  const small = Object.entries(record.facts).map(([name, text]) => h("div", { class: "faint" }, `${name}: ${text}`));
  return h("div", {}, h("div", { class: "faint line" }, record.interface), h("div", { class: "facts" }, ...boxes), ...small);
}

function legend() {
  return h("div", { class: "legend" }, ...["forward", "backward", "update"].map((name) => h("span", {}, h("i", { class: name }), name)));
}

function bar(parts, whole, width) {
  return h("span", { class: "bar" }, ...parts.map(([name, value]) => h("i", { class: name, style: `width:${whole ? (width * value) / whole : 0}px`, title: `${name} ${micro(value)}` })));
}

function layerTable(record, measured) {
  const directions = ["forward", "backward", "update"];
  const cost = (step) => (measured ? step.us : step.flops);
  const rows = [...state.layerSteps].map(([name, steps]) => {
    const spent = Object.fromEntries(directions.map((d) => [d, 0]));
    for (const step of steps) spent[step.direction] += cost(step);
    const total = directions.reduce((sum, d) => sum + spent[d], 0);
    return { name, spent, total, flops: steps.reduce((sum, step) => sum + step.flops, 0) };
  });
  const whole = Math.max(...rows.map((row) => row.total), 1e-9), all = rows.reduce((sum, row) => sum + row.total, 0);
  const text = measured ? micro : (n) => scaled(n, "FLOP");
  const columns = [
    ["layer", (r) => r.name, (r) => link("layer", r.name), false, "wide"],
    [measured ? "time" : "work", (r) => r.total, (r) => text(r.total), true],
    ["", (r) => r.total, (r) => bar(directions.map((d) => [d, r.spent[d]]), whole, 220), false],
    ["of all", (r) => r.total, (r) => percent(all ? r.total / all : 0), true],
    ...directions.map((d) => [d, (r) => r.spent[d], (r) => (r.spent[d] ? text(r.spent[d]) : ""), true]),
    ["FLOP", (r) => r.flops, (r) => scaled(r.flops, ""), true],
  ];
  if (measured) columns.push(["GFLOP/s", (r) => rate(r.flops, r.total), (r) => rate(r.flops, r.total).toFixed(1), true]);
  const made = table(columns, rows, { sort: 1, onclick: (row) => select("layer", row.name) });
  state.listeners.push((chosen) => {
    const layer = chosen && (chosen.kind === "layer" ? chosen.name : chosen.kind === "node" ? (state.step.get(owner(chosen.name)) || {}).layer : null);
    for (const [row, element] of made.rows) {
      element.classList.toggle("selected", Boolean(chosen && chosen.kind === "layer" && row.name === layer));
      element.classList.toggle("related", Boolean(chosen && chosen.kind === "node" && row.name === layer));
    }
  });
  return made.element;
}

function stepTable(record, measured) {
  const place = new Map(record.steps.map((step, i) => [step, i]));
  const columns = [
    ["#", (s) => place.get(s), (s) => String(place.get(s)), true],
    ["kernel", (s) => s.kernels[0] || "", (s) => s.kernels[0] ? link("kernel", s.kernels[0], s.kernels[0] + (s.kernels.length > 1 ? ` +${s.kernels.length - 1}` : "")) : "", false, "wide"],
    ["node", (s) => s.node, (s) => link("node", s.node), false],
    ["layer", (s) => s.layer, (s) => s.layer || "–", false, "wide"],
    ["direction", (s) => s.direction, (s) => s.direction, false],
    ...(measured ? [["time", (s) => s.us, (s) => micro(s.us), true]] : []),
    ["FLOP", (s) => s.flops, (s) => scaled(s.flops, ""), true],
    ["bytes", (s) => s.bytes, (s) => scaled(s.bytes, "B"), true],
    ...(measured ? [["GFLOP/s", (s) => rate(s.flops, s.us), (s) => rate(s.flops, s.us).toFixed(1), true], ["GB/s", (s) => rate(s.bytes, s.us), (s) => rate(s.bytes, s.us).toFixed(1), true], ["roof", (s) => s.share ?? 0, (s) => percent(s.share), true]] : []),
  ];
  const made = table(columns, record.steps, { onclick: (step) => select("node", step.node) });
  state.listeners.push(() => {
    for (const [step, element] of made.rows) element.classList.toggle("selected", isRelated(step));
  });
  return made.element;
}

// Attainable GFLOP/s over operations a byte, both logarithmic; a point per computation, its colour the direction.
function roofline(record) {
  const points = record.steps.filter((step) => step.us > 0 && step.flops > 0 && step.bytes > 0);
  const box = h("div", { class: "plot" });
  if (!points.length) return h("p", { class: "faint" }, "No computation of this step has floating-point work.");
  const sorted = points.map((step) => ({ step, x: step.flops / step.bytes, y: rate(step.flops, step.us) })).sort((a, b) => a.x - b.x);
  const { gflops, gbs } = record.roof;
  const low = Math.min(sorted[0].x, gflops / gbs) / 2, high = Math.max(sorted[sorted.length - 1].x, gflops / gbs) * 2;
  const roofX = [low, gflops / gbs, high];
  const xs = [...new Set([...sorted.map((p) => p.x), ...roofX])].sort((a, b) => a - b);
  const roof = xs.map((x) => Math.min(gflops, gbs * x));
  const bottom = Math.max(Math.min(...sorted.map((p) => p.y)) / 2, 1e-4);
  const radius = (p) => 3 + 9 * Math.sqrt(p.step.us / Math.max(...points.map((s) => s.us)));
  const hint = tip(box);
  let plot;
  const at = (p) => [plot.valToPos(p.x, "x"), plot.valToPos(p.y, "y")];
  const nearest = (x, y) => sorted.map((p) => [Math.hypot(at(p)[0] - x, at(p)[1] - y) - radius(p), p]).sort((a, b) => a[0] - b[0])[0];
  function draw(u) {
    const { ctx } = u, ratio = devicePixelRatio;
    for (const p of [...sorted].sort((a, b) => b.step.us - a.step.us)) {
      const [x, y] = [u.valToPos(p.x, "x", true), u.valToPos(Math.max(p.y, bottom), "y", true)];
      ctx.beginPath();
      ctx.arc(x, y, radius(p) * ratio, 0, 2 * Math.PI);
      ctx.globalAlpha = isRelated(p.step) ? 1 : 0.6;
      ctx.fillStyle = colour(p.step.direction);
      ctx.fill();
      ctx.globalAlpha = 1;
      ctx.lineWidth = (isRelated(p.step) ? 3 : 1) * ratio;
      ctx.strokeStyle = isRelated(p.step) ? colour("mark") : colour("ground");
      ctx.stroke();
    }
  }
  function build() {
    if (plot) plot.destroy();
    const axis = (label, size) => ({ label, stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, size, values: (u, ticks) => ticks.map((v) => (v === null ? null : Number(v.toPrecision(2)).toString())) });
    plot = new uPlot({
      width: Math.max(box.clientWidth || 800, 300), height: 330, cursor: { points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: false, distr: 3, range: () => [low, high] }, y: { distr: 3, range: () => [bottom, gflops * 2] } },
      axes: [axis("FLOP a byte", 40), axis("GFLOP/s", 56)],
      series: [{}, { stroke: colour("minus"), width: 2, points: { show: false } }],
      hooks: { draw: [draw], setCursor: [(u) => {
        const { left, top } = u.cursor, found = left >= 0 ? nearest(left, top) : null;
        if (!found || found[0] > 12) return hint.hide();
        const { step } = found[1], [dx, dy] = [u.over.offsetLeft, u.over.offsetTop];
        hint.show(left + dx, top + dy, step.kernels[0], `${step.layer || "–"} ${step.direction}`, `${micro(step.us)}, ${found[1].y.toFixed(1)} GFLOP/s, ${rate(step.bytes, step.us).toFixed(1)} GB/s, ${percent(step.share)} of the roof`);
      }] },
    }, [xs, roof], box);
    plot.over.addEventListener("click", () => {
      const found = nearest(plot.cursor.left, plot.cursor.top);
      if (found && found[0] < 12) select("node", found[1].step.node);
    });
    plot.over.addEventListener("mouseleave", () => hint.hide());
  }
  state.listeners.push(() => plot && plot.redraw(false));
  state.onTheme.push(build);
  new ResizeObserver(() => { if (box.clientWidth && (!plot || Math.abs(plot.width - box.clientWidth) > 2)) build(); }).observe(box);
  return h("div", {}, box, h("p", { class: "faint" }, `The line is the most this machine does: ${gflops.toFixed(0)} GFLOP/s (${record.roof.arithmetic}) and ${gbs.toFixed(1)} GB/s. A disc is a computation, as large as its time. What finds its data in a cache lies above the slope.`));
}
