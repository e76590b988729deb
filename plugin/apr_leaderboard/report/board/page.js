// Filters and sorting. What is chosen stands in the address after #?, so that a view can be passed on.
"use strict";
(() => {
  const form = document.querySelector("form");
  const table = document.querySelector("#board");
  if (!form || !table) return;
  const rows = [...table.tBodies[0].rows];
  const names = ["search", "benchmark", "engine", "verdict", "sort"];
  let sort = "";

  const read = () => {
    const hash = location.hash.startsWith("#?") ? location.hash.slice(2) : "";
    const wanted = new URLSearchParams(hash);
    for (const name of names.slice(0, 4)) form.elements[name].value = wanted.get(name) ?? "";
    // A value that no choice has leaves a select empty; take that as no choice.
    for (const name of names.slice(1, 4)) if (form.elements[name].selectedIndex < 0) form.elements[name].value = "";
    sort = wanted.get("sort") ?? "";
  };

  const write = () => {
    const kept = new URLSearchParams();
    for (const name of names.slice(0, 4)) if (form.elements[name].value) kept.set(name, form.elements[name].value);
    if (sort) kept.set("sort", sort);
    const text = kept.toString();
    history.replaceState(null, "", text ? `#?${text}` : location.pathname + location.search);
  };

  const shows = (cell, benchmark, engine) =>
    (!benchmark || cell.dataset.benchmark === benchmark) &&
    (!engine || !cell.dataset.engine || cell.dataset.engine === engine);

  const apply = () => {
    const { search, benchmark, engine, verdict } = form.elements;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const cell of table.querySelectorAll("[data-benchmark]:not([data-group])")) {
      cell.hidden = !shows(cell, benchmark.value, engine.value);
    }
    for (const group of table.querySelectorAll("[data-group]")) {
      const below = table.querySelectorAll(`thead th[data-benchmark="${CSS.escape(group.dataset.benchmark)}"]`);
      const seen = [...below].filter((cell) => cell !== group && !cell.hidden).length;
      group.hidden = !seen;
      group.colSpan = seen || 1;
    }
    for (const row of rows) {
      const cells = [...row.querySelectorAll("td[data-standing]")].filter((cell) => !cell.hidden);
      const fits = words.every((word) => row.dataset.search.includes(word));
      const stands = cells.some((cell) => !verdict.value || cell.dataset.standing === verdict.value);
      row.hidden = !(fits && stands);
      count += row.hidden ? 0 : 1;
    }
    document.querySelector("#count").textContent = `${count} of ${rows.length} rows`;
  };

  const order = () => {
    const [column, way] = [sort.replace(/^-/, ""), sort.startsWith("-") ? -1 : 1];
    const value = (row) => {
      if (column === "model") return row.dataset.search;
      const cell = [...row.querySelectorAll("td[data-sort]")].find((one) => one.dataset.column === column);
      return cell ? Number(cell.dataset.sort) : null;
    };
    const sorted = !column ? rows : [...rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null); // what was not measured comes last
      return (x < y ? -1 : x > y ? 1 : 0) * way;
    });
    table.tBodies[0].append(...sorted);
    for (const head of table.querySelectorAll("th[data-column]")) {
      const here = head.dataset.column === column;
      if (here) head.setAttribute("aria-sort", way < 0 ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  };

  const open = () => {
    const target = location.hash.length > 1 && !location.hash.startsWith("#?")
      ? document.getElementById(location.hash.slice(1)) : null;
    if (target && target.tagName === "DETAILS") target.open = true;
  };

  form.addEventListener("input", () => { apply(); write(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { sort = ""; apply(); order(); write(); }));
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("button")?.closest("th[data-column]");
    if (!head) return;
    const column = head.dataset.column;
    const first = column === "model" ? column : `-${column}`;
    sort = sort === first ? (first === column ? `-${column}` : column) : first;
    order();
    write();
  });
  addEventListener("hashchange", () => { open(); if (location.hash.startsWith("#?")) { read(); apply(); order(); } });
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
  form.hidden = false;
  read();
  apply();
  order();
  open();
})();
