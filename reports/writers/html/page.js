// Tables that sort by a column and fold by block, sections that open for links and for paper, figures that enlarge.
// Without this script everything is there, in order; sections fold by themselves.
"use strict";

for (const table of document.querySelectorAll("table.interactive")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const groups = original.filter((row) => row.classList.contains("group"));
  const childrenOf = (group) => original.filter((row) => row.dataset.group === group.dataset.block);

  const setFolded = (group, folded) => {
    group.querySelector("button").setAttribute("aria-expanded", String(!folded));
    for (const row of childrenOf(group)) row.hidden = folded;
  };

  for (const group of groups) {
    const cell = group.cells[0];
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    button.addEventListener("click", () => setFolded(group, button.getAttribute("aria-expanded") === "true"));
    cell.append(button);
    setFolded(group, table.classList.contains("long"));
  }

  // A cell sorts by the exact number behind what it shows; what is not known comes last in both directions.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (cell.dataset.value === undefined) return cell.textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (column, sign) => (a, b) => {
    const [x, y] = [key(a, column), key(b, column)];
    if (x === null || y === null) return (x === null) - (y === null);
    if (typeof x === "number" && typeof y === "number") return sign * (x - y);
    return sign * String(x).localeCompare(String(y), undefined, { numeric: true });
  };

  // Blocks are put in order among themselves, operations inside their block; sums stay at the foot.
  const arrange = (column, sign) => {
    const order = sign === 0 ? (rows) => rows : (rows) => [...rows].sort(compare(column, sign));
    const total = original.filter((row) => row.classList.contains("total"));
    const loose = original.filter((row) => row.dataset.group === undefined && !total.includes(row));
    for (const row of order(loose)) {
      body.append(row);
      if (row.classList.contains("group")) body.append(...order(childrenOf(row)));
    }
    body.append(...total);
  };

  const headers = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    // Numbers are asked for from the largest down, names from A; a third press restores the network's order.
    const steps = header.classList.contains("number") ? ["descending", "ascending"] : ["ascending", "descending"];
    button.addEventListener("click", () => {
      const next = steps[steps.indexOf(header.getAttribute("aria-sort")) + 1] || "none";
      for (const other of headers) other.removeAttribute("aria-sort");
      if (next !== "none") header.setAttribute("aria-sort", next);
      arrange(column, { ascending: 1, descending: -1, none: 0 }[next]);
    });
  });

  if (groups.length > 1) {
    const tools = document.createElement("div");
    tools.className = "tools";
    for (const [label, folded] of [["Fold all blocks", true], ["Unfold all blocks", false]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", () => groups.forEach((group) => setFolded(group, folded)));
      tools.append(button);
    }
    table.closest(".scroll").before(tools);
  }
}

// --- sections: a link opens what it leads to, and paper has everything open ---

const folds = [...document.querySelectorAll("details")];

const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.scrollIntoView();
};
window.addEventListener("hashchange", reveal);
// A link to where one is already changes nothing in the address, but may have been folded since.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && link.hash === location.hash) reveal();
});
if (location.hash) reveal();

const contents = document.querySelector("nav details");
if (contents && window.matchMedia("(min-width: 48rem)").matches) contents.open = true;

let before = null;
const forPaper = (paper) => {
  if (paper && before === null) {
    before = folds.filter((fold) => !fold.open);
    for (const fold of before) fold.open = true;
  } else if (!paper && before !== null) {
    for (const fold of before) fold.open = false;
    before = null;
  }
};
window.addEventListener("beforeprint", () => forPaper(true));
window.addEventListener("afterprint", () => forPaper(false));
window.matchMedia("print").addEventListener("change", (media) => forPaper(media.matches));

{
  const tools = document.createElement("div");
  tools.className = "tools";
  for (const [label, open] of [["Open all sections", true], ["Fold all sections", false]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      for (const fold of document.querySelectorAll(".section, .part")) fold.open = open;
    });
    tools.append(button);
  }
  if (contents) contents.append(tools);
}

// --- figures: a tap enlarges, Escape goes back; what is pointed at says its value ---

const dialog = document.createElement("dialog");
const close = document.createElement("button");
close.type = "button";
close.className = "close";
close.textContent = "Close";
dialog.append(close);
document.body.append(dialog);

let home = null; // where the figure in the dialog belongs
const enlarge = (button) => {
  const frame = button.parentElement;
  home = { frame, button };
  frame.style.minHeight = `${frame.offsetHeight}px`; // nothing below moves while it is away
  const large = document.createElement("div");
  large.className = "frame";
  large.append(button.firstElementChild);
  dialog.setAttribute("aria-label", large.firstElementChild.getAttribute("aria-label"));
  dialog.append(large);
  dialog.showModal();
};
dialog.addEventListener("close", () => {
  const large = dialog.querySelector(".frame");
  home.button.append(large.querySelector("svg"));
  large.remove();
  home.frame.style.minHeight = "";
  home.button.focus();
});
close.addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (!event.target.closest(".marks, .close")) dialog.close();
});

for (const frame of document.querySelectorAll("figure .frame")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "enlarge";
  button.setAttribute("aria-haspopup", "dialog");
  const svg = frame.querySelector("svg");
  button.setAttribute("aria-label", `Enlarge: ${svg.getAttribute("aria-label")}`);
  button.append(svg);
  frame.append(button);
  button.addEventListener("click", () => enlarge(button));
}

const value = document.createElement("div");
value.className = "value";
value.hidden = true;
const say = (mark) => {
  // The browser's own hint comes late and not at all under a finger: its text is taken over once.
  const title = mark.querySelector("title");
  if (title) {
    mark.dataset.value = title.textContent;
    title.remove();
  }
  const frame = mark.closest(".frame");
  const outer = frame.getBoundingClientRect();
  const inner = mark.getBoundingClientRect();
  value.textContent = mark.dataset.value;
  frame.append(value);
  value.hidden = false;
  const most = Math.max(0, outer.width - value.offsetWidth);
  value.style.left = `${Math.min(most, Math.max(0, inner.left - outer.left))}px`;
  value.style.top = `${inner.bottom - outer.top + 4}px`;
};
document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest(".marks rect");
  if (mark) say(mark);
  else value.hidden = true;
});
