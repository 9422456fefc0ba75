"use strict";
// Sort tables by a click on a heading, and tell a curve's values under the pointer. Without this script the page is
// complete: it adds what it needs, and all numbers stand in tables or in the figures' descriptions too.

const STATES = { none: "ascending", ascending: "descending", descending: "none" };

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const state = STATES[head.getAttribute("aria-sort") ?? "none"];
      heads.forEach(one => one.removeAttribute("aria-sort"));
      if (state !== "none") head.setAttribute("aria-sort", state);
      table.classList.toggle("sorted", state !== "none");
      table.tBodies[0].append(...sorted(rows, column, state));
    });
  });
  const hint = document.createElement("span");
  hint.className = "hint";
  hint.textContent = "Press a heading to sort.";
  table.caption.append(hint);
}

function sorted(rows, column, state) {
  if (state === "none") return rows;
  const text = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const known = rows.filter(row => !["", "–"].includes(text(row)));
  const areNumbers = known.every(row => !Number.isNaN(number(text(row))));
  const compare = areNumbers
    ? (one, other) => number(text(one)) - number(text(other))
    : (one, other) => text(one).localeCompare(text(other), "en", { numeric: true });
  const sign = state === "ascending" ? 1 : -1;
  const ordered = known.sort((one, other) => sign * compare(one, other));
  return [...ordered, ...rows.filter(row => !known.includes(row))]; // missing values are last, whatever the direction
}

// Read the number that a text begins with: "−1,234.5 ± 3", "87.5%", "812k"; NaN if it begins with none.
function number(text) {
  const found = /^([+−-]?)(\d[\d,]*\.?\d*)([kM]?)/.exec(text);
  if (!found) return NaN;
  const size = { "": 1, k: 1e3, M: 1e6 }[found[3]];
  return (found[1] === "−" || found[1] === "-" ? -1 : 1) * size * Number(found[2].replaceAll(",", ""));
}

// A slider over the figure chooses the epoch, by pointer or by arrow keys; screen readers read its text.
function readable(figure, tip) {
  const data = JSON.parse(figure.dataset.curves);
  const { left, right, top, bottom } = data.frame; // shares of the drawing's width and height
  const slider = document.createElement("div");
  const guide = document.createElement("span");
  slider.className = "slider";
  slider.tabIndex = 0;
  describe(slider, {
    role: "slider",
    "aria-label": `Values of the ${data.title}`,
    "aria-valuemin": data.epochs[0],
    "aria-valuemax": data.epochs.at(-1),
  });
  guide.style.top = `${100 * top}%`;
  guide.style.height = `${100 * (bottom - top)}%`;
  guide.hidden = true;
  slider.append(guide);
  figure.querySelector("svg").after(slider);
  let place = data.epochs.length - 1;

  const choose = chosen => {
    place = Math.min(Math.max(chosen, 0), data.epochs.length - 1);
    describe(slider, { "aria-valuenow": data.epochs[place], "aria-valuetext": words(data, place, ", ") });
  };
  const show = () => {
    const box = slider.getBoundingClientRect();
    const x = left + ((right - left) * data.epochs[place]) / data.last;
    guide.style.left = `${100 * x}%`;
    guide.hidden = tip.hidden = false;
    tip.textContent = words(data, place, "\n");
    const beside = box.left + x * box.width;
    const isRoom = beside + 12 + tip.offsetWidth < document.documentElement.clientWidth;
    tip.style.left = `${window.scrollX + Math.max(4, isRoom ? beside + 12 : beside - 12 - tip.offsetWidth)}px`;
    tip.style.top = `${window.scrollY + box.top + top * box.height}px`;
  };
  const hide = () => { guide.hidden = tip.hidden = true; };

  const point = event => {
    const box = slider.getBoundingClientRect();
    const epoch = (((event.clientX - box.left) / box.width - left) / (right - left)) * data.last;
    const distances = data.epochs.map(one => Math.abs(one - epoch));
    choose(distances.indexOf(Math.min(...distances)));
    show();
  };
  slider.addEventListener("pointermove", point);
  slider.addEventListener("pointerdown", point);
  slider.addEventListener("pointerleave", hide);
  slider.addEventListener("focus", show);
  slider.addEventListener("blur", hide);
  slider.addEventListener("keydown", event => {
    const steps = { ArrowLeft: place - 1, ArrowDown: place - 1, ArrowRight: place + 1, ArrowUp: place + 1 };
    const target = { ...steps, Home: 0, End: Infinity }[event.key];
    if (event.key === "Escape") hide();
    if (target === undefined) return;
    event.preventDefault();
    choose(target);
    show();
  });
  choose(place);
}

function describe(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function words(data, place, between) {
  const shown = value =>
    value === null ? "–" : data.unit === "%" ? `${(100 * value).toFixed(1)}%` : `${value.toFixed(3)} ${data.unit}`;
  const lines = data.lines.map(([name, values]) => `${name} ${shown(values[place])}`);
  return [`epoch ${data.epochs[place]}`, ...lines].join(between).replaceAll("-", "−");
}

// Unfold what a link leads to.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = target?.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
  if (target?.closest("details")) target.scrollIntoView();
}

window.addEventListener("hashchange", reveal);
reveal();
document.querySelectorAll("table.sortable").forEach(sortable);
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
describe(tip, { "aria-hidden": "true" }); // the slider's text says the same
document.querySelector("main").append(tip);
document.querySelectorAll("figure[data-curves]").forEach(figure => readable(figure, tip));
