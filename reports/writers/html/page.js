// Tables that sort by a column and fold by block. Without this script the page shows everything, unfolded.
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
    setFolded(group, false);
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
