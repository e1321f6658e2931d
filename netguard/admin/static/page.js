// Keeps the page fresh and draws the last hour. All HTML comes from the server, which escapes what others have said;
// what is drawn here is made of numbers, and of names by textContent.
"use strict";

const EVERY = 5000; // as often as the service takes a sample
const KEPT = 720;
const SVG = "http://www.w3.org/2000/svg";
const [AT, LIVE, LAG, ACCEPTED, IN, OUT, REFUSED, CUT] = [0, 1, 2, 3, 4, 5, 6, 7];
const MOST_SERIES = 8;

let samples = [];
let next = 0;

const seconds = EVERY / 1000;
const sum = (counts) => Object.values(counts).reduce((all, one) => all + one, 0);
const decimals = (value) => (value === 0 || value >= 10 ? value.toFixed(0) : value.toPrecision(2));
const plain = (value) => decimals(value).replace(/\.0+$/, "");
const rate = (value) => `${plain(value)}/s`;
const time = (value) => (value < 1 ? `${plain(value * 1000)} ms` : `${plain(value)} s`);
const bytes = (value) => {
  let unit = 0;
  while (value >= 1024 && unit < 4) { value /= 1024; unit += 1; }
  return `${plain(value)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}/s`;
};

function guards() {
  const totals = new Map();
  for (const sample of samples) {
    for (const [guard, count] of Object.entries(sample[REFUSED])) totals.set(guard, (totals.get(guard) || 0) + count);
  }
  return [...totals.entries()].sort((a, b) => b[1] - a[1]).map(([guard]) => guard);
}

function admission() {
  const every = guards();
  const named = every.slice(0, every.length > MOST_SERIES - 1 ? MOST_SERIES - 2 : MOST_SERIES - 1);
  const rest = every.slice(named.length);
  const series = [{ name: "accepted", of: (each) => each[ACCEPTED] / seconds }];
  for (const guard of named) series.push({ name: `refused by ${guard}`, of: (each) => (each[REFUSED][guard] || 0) / seconds });
  if (rest.length) {
    const others = (each) => rest.reduce((all, guard) => all + (each[REFUSED][guard] || 0), 0) / seconds;
    series.push({ name: "refused by others", of: others });
  }
  return series;
}

const CHARTS = {
  connections: { title: "Connections", text: plain, least: 4, series: () => [{ name: "connections", of: (each) => each[LIVE] }] },
  admission: { title: "Accepted and refused", text: rate, least: 1, series: admission },
  lag: { title: "Loop lag, at worst", text: time, least: 0.01, series: () => [{ name: "lag", of: (each) => each[LAG] }] },
  bytes: {
    title: "Bytes",
    text: bytes,
    base: 1024,
    least: 1024,
    series: () => [
      { name: "received", of: (each) => each[IN] / seconds },
      { name: "sent", of: (each) => each[OUT] / seconds },
    ],
  },
};

function element(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

// The next round number: of the unit in which the text will be.
function ceiling(most, base) {
  const unit = base ? base ** Math.max(0, Math.floor(Math.log(most) / Math.log(base))) : 1;
  const step = unit * 10 ** Math.floor(Math.log10(most / unit));
  return step * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => step * factor >= most);
}

class Chart {
  constructor(figure) {
    this.kind = CHARTS[figure.dataset.chart];
    this.chosen = null;
    const caption = document.createElement("figcaption");
    const title = document.createElement("b");
    title.textContent = this.kind.title;
    this.readout = document.createElement("output");
    caption.append(title, this.readout);
    this.svg = element("svg", { role: "img", tabindex: "0" });
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    figure.append(caption, this.svg, this.legend);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.choose(null));
    this.svg.addEventListener("blur", () => this.choose(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  point(event) {
    const at = (event.clientX - this.svg.getBoundingClientRect().left - this.left) / (this.width / KEPT);
    this.choose(Math.round(at) - (KEPT - samples.length));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60, Home: -KEPT, End: KEPT }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.choose((this.chosen === null ? samples.length - 1 : this.chosen) + (this.chosen === null && step < 0 ? 0 : step));
  }

  choose(index) {
    this.chosen = index === null || !samples.length ? null : Math.min(samples.length - 1, Math.max(0, index));
    this.draw();
  }

  draw() {
    const box = this.svg.getBoundingClientRect();
    if (!box.width) return;
    this.left = 58;
    this.width = box.width - this.left - 6;
    const height = box.height - 24;
    const series = this.kind.series().map((each) => ({ name: each.name, values: samples.map(each.of) }));
    const highest = Math.max(this.kind.least, ...series.flatMap((each) => each.values));
    const most = ceiling(highest, this.kind.base);
    const x = (index) => this.left + ((index + KEPT - samples.length) * this.width) / (KEPT - 1);
    const y = (value) => 6 + (height - 6) * (1 - value / most);
    this.svg.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
    this.svg.replaceChildren();
    for (const part of [0, 0.5, 1]) {
      element("line", { class: "grid", x1: this.left, x2: box.width - 6, y1: y(most * part), y2: y(most * part) }, this.svg);
      element("text", { x: this.left - 8, y: y(most * part) + 4, "text-anchor": "end" }, this.svg, this.kind.text(most * part));
    }
    for (const [part, text] of [[0, "an hour ago"], [0.5, "half an hour"], [1, "now"]]) {
      const anchor = { 0: "start", 0.5: "middle", 1: "end" }[part];
      element("text", { x: this.left + this.width * part, y: box.height - 4, "text-anchor": anchor }, this.svg, text);
    }
    series.forEach((each, at) => {
      if (!each.values.length) return;
      const points = each.values.map((value, index) => `${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
      const ends = `L${x(each.values.length - 1).toFixed(1)} ${y(0)}L${x(0).toFixed(1)} ${y(0)}Z`;
      if (at === 0) element("path", { class: `area f${at + 1}`, d: `M${points}${ends}` }, this.svg);
      element("path", { class: `line s${at + 1}`, d: `M${points}` }, this.svg);
    });
    this.tell(series, x, height);
    if (series.length > 1) this.explain(series);
  }

  tell(series, x, height) {
    const index = this.chosen === null ? samples.length - 1 : this.chosen;
    const texts = series.map((each) => (series.length > 1 ? `${each.name} ` : "") + this.kind.text(each.values[index] || 0));
    const words = samples.length ? texts.filter((_, at) => at < 1 || series[at].values[index] || series.length < 3).join(", ") : "nothing yet";
    if (this.chosen !== null) {
      element("line", { class: "here", x1: x(index), x2: x(index), y1: 6, y2: height }, this.svg);
      const when = new Date(samples[index][AT] * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
      this.readout.textContent = `${when}: ${words}`;
    } else {
      this.readout.textContent = words;
    }
    const peaks = series.map((each) => `${each.name} at most ${this.kind.text(Math.max(0, ...each.values))}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.kind.title} in the last hour: ${peaks}. Arrow keys read it out.`);
  }

  explain(series) {
    this.legend.replaceChildren(...series.map((each, at) => {
      const item = document.createElement("li");
      const mark = element("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
      element("rect", { class: `f${at + 1}`, width: 10, height: 10, rx: 2 }, mark);
      item.append(mark, each.name);
      return item;
    }));
  }
}

const charts = [];

function show(live) {
  for (const [id, html] of Object.entries(live)) {
    const section = document.getElementById(id);
    const place = id === "state" ? section : section.querySelector(".live");
    // Whoever is in the middle of a part keeps it as it is: what is replaced loses the focus.
    const busy = place !== document.activeElement && place.contains(document.activeElement);
    if (!busy && place.innerHTML !== html && place.dataset.html !== html) {
      const old = place.querySelector(".scrolls");
      const scrolled = old ? old.scrollLeft : 0;
      place.innerHTML = html;
      const made = place.querySelector(".scrolls");
      if (made) made.scrollLeft = scrolled;
    }
    place.dataset.html = html;
  }
}

function lost() {
  const state = document.getElementById("state");
  const told = document.createElement("strong");
  told.className = "bad";
  told.textContent = "No answer";
  state.replaceChildren(told);
  delete state.dataset.html;
}

async function refresh() {
  const where = new URL("/figures.json", location.origin); // not of location.href, which may have a password in it
  for (const [name, value] of new URLSearchParams(location.search)) where.searchParams.set(name, value);
  where.searchParams.set("live", "");
  where.searchParams.set("since", String(next));
  try {
    const answer = await fetch(where, { signal: AbortSignal.timeout(EVERY * 2) });
    if (!answer.ok) throw new Error(String(answer.status));
    const found = await answer.json();
    if (found.next < next) samples = []; // another process by now
    samples = samples.concat(found.samples).slice(-KEPT);
    next = found.next;
    show(found.live);
    for (const each of charts) each.draw();
    document.documentElement.dataset.fresh = String(next);
  } catch {
    lost();
  }
}

async function keep() {
  if (!document.hidden) await refresh();
  setTimeout(keep, EVERY);
}

document.querySelector(".charts").hidden = false;
for (const figure of document.querySelectorAll("figure[data-chart]")) charts.push(new Chart(figure));
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
document.addEventListener("submit", (event) => {
  const row = event.target.closest("tr");
  const peer = row ? row.querySelector(".peer").firstChild.textContent : "";
  if (!confirm(`Cut the connection of ${peer}?`)) event.preventDefault();
});
keep();
