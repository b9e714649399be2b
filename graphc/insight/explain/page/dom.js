// Elements and numbers. Text is always set as text: names come from users.
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const micro = (us) => (us === null || us === undefined ? "–" : us >= 1e6 ? `${(us / 1e6).toFixed(3)} s` : us >= 1e3 ? `${(us / 1e3).toFixed(2)} ms` : `${us.toFixed(1)} µs`);
const scaled = (n, unit) => {
  const prefixes = ["", "k", "M", "G", "T"];
  let i = 0;
  while (n >= 1000 && i < 4) { n /= 1000; i += 1; }
  return `${i ? n.toFixed(2) : n} ${prefixes[i]}${unit}`;
};
const percent = (x) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`);
const rate = (amount, us) => (us ? amount / us / 1e3 : 0); // 10^9 a second

function link(kind, name, text) {
  return h("a", { tabindex: 0, role: "button", onclick: () => select(kind, name, { show: true }), onkeydown: (e) => e.key === "Enter" && select(kind, name, { show: true }) }, text ?? (kind === "node" ? `%${name}` : name || "(no layer)"));
}

// A table that sorts by a click on a head. columns: [title, value(row), text(row) or element, is number].
function table(columns, rows, { onclick, sort = null, descending = true } = {}) {
  const body = h("tbody");
  let order = sort, down = descending;
  const head = h("tr", {}, ...columns.map((column, i) => h("th", { class: column[3] ? "number" : "", scope: "col", tabindex: 0, onclick: () => by(i), onkeydown: (e) => e.key === "Enter" && by(i) }, column[0])));
  const made = new Map(rows.map((row) => {
    const cells = columns.map((column) => h("td", { class: column[3] ? "number" : column[4] || "" }, column[2](row)));
    return [row, h("tr", { onclick: () => onclick && onclick(row) }, ...cells)];
  }));
  function fill() {
    const sorted = [...rows];
    if (order !== null) sorted.sort((a, b) => { const x = columns[order][1](a), y = columns[order][1](b); return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1); });
    body.replaceChildren(...sorted.map((row) => made.get(row)));
  }
  function by(i) { down = order === i ? !down : Boolean(columns[i][3]); order = i; fill(); }
  fill();
  const element = h("table", {}, h("thead", {}, head), body);
  return { element, rows: made };
}

function tip(parent) {
  const box = h("div", { class: "tip", hidden: true });
  parent.append(box);
  return {
    show(x, y, ...lines) {
      box.replaceChildren(...lines.map((line) => h("div", {}, line)));
      box.hidden = false;
      const right = x + box.offsetWidth + 16 > parent.clientWidth;
      box.style.left = `${right ? Math.max(0, x - box.offsetWidth - 12) : x + 12}px`;
      box.style.top = `${Math.max(0, Math.min(y + 12, parent.clientHeight - box.offsetHeight))}px`;
    },
    hide() { box.hidden = true; },
  };
}

// Text in pieces of some lines at a time: long texts do not hold up the page.
function lines(parent, all, make, most = 600) {
  let at = 0;
  const more = h("button", { onclick: add }, "more");
  function add() {
    more.remove();
    parent.append(...all.slice(at, at + most).map(make));
    at += most;
    if (at < all.length) { more.textContent = `${all.length - at} more`; parent.append(more); }
  }
  add();
}
