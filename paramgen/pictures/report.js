"use strict";
// The report's tree, search and histograms. All texts become text nodes, so no name is markup.
(async () => {
  const MOST_ROWS = 300, FIRST_ROWS = 60, FIRST_CARDS = 4;
  const LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  const STATISTICS = ["mean", "std", "min", "max", "zeros", "NaN", "infinite"];
  const count = (number) => number.toLocaleString("en");
  const find = (id) => document.getElementById(id);

  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  const data = await inflate(find("data").textContent);

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function drawing(tag, attributes = {}, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // The tree as a list in preorder: `end` is the number of the node after a node's last descendant.
  const nodes = [];
  function addNodes(list, parent, level) {
    for (const [label, tensors, children, size] of list) {
      const node = { label, tensors, size, parent, level, number: nodes.length, isOpen: false, isGroup: children.length > 0 };
      nodes.push(node);
      addNodes(children, node, level + 1);
      node.end = nodes.length;
    }
  }
  addNodes(data.tree, null, 1);

  let shown = [];
  let active = nodes[0];
  let chosen = null;
  let mostRows = MOST_ROWS;
  let matches = null; // by node: the number of its tensors that match the search, or null without a search

  function isOpen(node) {
    return node.isGroup && (matches && !node.wasClosed ? true : node.isOpen);
  }

  function listRows(limit) {
    const rows = [];
    for (let number = 0; number < nodes.length && rows.length < limit;) {
      const node = nodes[number];
      if (matches && !matches[number]) {
        number = node.end;
        continue;
      }
      rows.push(node);
      number = isOpen(node) ? number + 1 : node.end;
    }
    return rows;
  }

  function openFirst() {
    for (let level = 1; level < 5; level += 1) {
      const groups = nodes.filter((node) => node.isGroup && node.level === level);
      if (groups.length > FIRST_ROWS) return;
      for (const node of groups) node.isOpen = true;
      if (listRows(FIRST_ROWS + 1).length > FIRST_ROWS) {
        for (const node of groups) node.isOpen = false;
        return;
      }
    }
  }

  function makeRow(node) {
    const row = element("div", {
      class: "row", role: "treeitem", "aria-level": node.level, "aria-selected": node === chosen,
      tabindex: node === active ? 0 : -1,
    });
    if (node.isGroup) row.setAttribute("aria-expanded", isOpen(node));
    const label = element("span", { class: "label", title: node.label }, element("bdi", {}, node.label));
    label.style.paddingLeft = `${(node.level - 1) * 16}px`;
    row.append(label);
    if (node.tensors.length) row.append(element("span", {}, typeOf(node.tensors[0])[1]));
    if (node.tensors.length > 1) {
      const total = count(node.tensors.length);
      const partly = matches && matches[node.number] < node.tensors.length;
      const text = partly ? `${count(matches[node.number])} of ${total}` : `×${total}`;
      row.append(element("span", { title: `${total} tensors` }, text));
    }
    row.append(element("span", { class: "size" }, node.size));
    row.node = node;
    return row;
  }

  function render(takeFocus = false) {
    const rows = listRows(mostRows + 1);
    shown = rows.slice(0, mostRows);
    if (!shown.includes(active)) active = shown[0];
    find("more-rows").hidden = rows.length <= mostRows;
    const top = find("tree").scrollTop;
    find("tree").replaceChildren(...shown.map(makeRow));
    find("tree").scrollTop = top;
    if (takeFocus) find("tree").children[shown.indexOf(active)]?.focus();
  }

  function toggle(node, open) {
    if (!node.isGroup) return;
    node.isOpen = open;
    node.wasClosed = !open;
  }

  function search(text) {
    for (const node of nodes) node.wasClosed = false;
    mostRows = MOST_ROWS;
    matches = null;
    find("found").textContent = "";
    if (text) {
      const pattern = text.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
      const wanted = new RegExp(pattern, "is");
      matches = new Uint32Array(nodes.length);
      let total = 0;
      for (const node of nodes) {
        const own = node.tensors.filter((number) => wanted.test(data.names[number])).length;
        total += own;
        if (own) for (let up = node; up; up = up.parent) matches[up.number] += own;
      }
      find("found").textContent = `${count(total)} of ${count(data.names.length)} tensors`;
      search.pattern = wanted;
    }
    render();
  }

  const typeOf = (number) => data.types[data.type[number]];

  function format(value) {
    if (value === null) return "–";
    if (value && Math.abs(value) < 1e-4) return value.toExponential();
    return Number.isInteger(value) && Math.abs(value) < 1e15 ? value.toLocaleString("en") : String(value);
  }

  const round = (value, digits) => format(Number(value.toPrecision(digits)));

  // Round numbers from `low` to `high`, at most six.
  function listTicks(low, high) {
    const power = 10 ** Math.floor(Math.log10((high - low) / 5));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((width) => (high - low) / width <= 5);
    const ticks = [];
    for (let number = Math.ceil(low / step); number * step <= high && ticks.length < 7; number += 1) {
      ticks.push(Number((number * step).toPrecision(12)));
    }
    return ticks;
  }

  function drawHistogram(number) {
    const [start, width, bars, expected, top] = data.bars[number];
    const heights = [...bars].map((level) => LEVELS.indexOf(level));
    const W = 440, H = 130, left = 1, right = W - 1, base = 106, high = 92;
    const step = (right - left) / heights.length;
    const y = (level) => base - (high * level) / (LEVELS.length - 1);
    const path = heights.map((level, i) => level
      ? `M${(left + i * step).toFixed(1)} ${base}V${y(level).toFixed(1)}h${Math.max(step - 0.8, 0.5).toFixed(2)}V${base}z` : "");
    const [mean, std, least, largest] = data.statistics[number];
    const end = start + width * heights.length;
    const label = least === largest ? `All values of ${data.names[number]} are ${least}`
      : `Histogram of ${data.names[number]}: ${heights.length} bars from ${round(start, 3)} to ${round(end, 3)}, ` +
        `mean ${mean}, std ${std}` + (expected ? ", with what the spec promises" : "");
    const svg = drawing("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
    svg.append(drawing("path", { class: "bar", d: path.join("") }));
    if (expected) {
      const line = [...expected].map((level, i) => `${i ? "L" : "M"}${(left + i * step).toFixed(1)} ` +
        `${y(LEVELS.indexOf(level)).toFixed(1)}h${step.toFixed(2)}`);
      svg.append(drawing("path", { class: "promised", d: line.join("") }));
    }
    svg.append(drawing("path", { class: "axis", d: `M${left} ${base + 0.5}H${right}` }));
    const scale = (right - left) / (end - start);
    const ticks = heights.length > 1 && Number.isFinite(scale)
      ? listTicks(start, end).map((value) => [left + (value - start) * scale, value])
      : [[(left + right) / 2, least]];
    for (const [x, value] of ticks) {
      const anchor = x < left + 20 ? "start" : x > right - 20 ? "end" : "middle";
      const place = anchor === "start" ? left : anchor === "end" ? right : x;
      svg.append(drawing("path", { class: "axis", d: `M${x.toFixed(1)} ${base}v4` }));
      svg.append(drawing("text", { class: "quiet", x: place.toFixed(1), y: H - 8, "text-anchor": anchor }, format(value)));
    }
    svg.append(drawing("text", { class: "quiet", x: left, y: 10 }, `${round(100 * top, 3)} % of the values`));
    return svg;
  }

  function makeCard(number) {
    const card = element("div", { class: "card" }, element("h3", {}, element("bdi", {}, data.names[number])));
    const promise = data.promises[data.promise[number]];
    if (promise) card.append(element("p", {}, `promised: ${promise}`));
    if (data.bars[number]) {
      card.append(drawHistogram(number));
    } else {
      card.append(element("p", {}, data.statistics[number] ? "No finite values." : "No histogram for this dtype."));
    }
    const statistics = data.statistics[number] ?? [];
    card.append(element("dl", {}, ...statistics.flatMap((value, i) => i > 4 && !value ? [] : [
      element("div", {}, element("dt", {}, STATISTICS[i]), element("dd", {}, format(value)))])));
    return card;
  }

  function choose(node) {
    chosen = node;
    const numbers = matches ? node.tensors.filter((number) => search.pattern.test(data.names[number])) : node.tensors;
    const [dtype, shape, parameters, bytes] = typeOf(numbers[0]);
    const type = `${dtype} ${shape}, ${parameters} elements, ${bytes}` + (numbers.length > 1 ? " each" : "");
    const parts = [element("p", { class: "hint" }, type)];
    if (numbers.some((number) => data.bars[number]?.[3])) {
      const line = drawing("svg", { viewBox: "0 0 24 10", width: 24, height: 10, "aria-hidden": "true" },
        drawing("path", { class: "promised", d: "M0 5H24" }));
      parts.push(element("p", { class: "hint" }, "Bars: values in the file. ", line, " what the spec promises."));
    }
    const details = find("details");
    details.replaceChildren(...parts);
    let next = 0;
    const more = element("button", { type: "button" });
    const addCards = (most) => {
      for (const number of numbers.slice(next, next + most)) details.insertBefore(makeCard(number), more);
      next += most;
      more.hidden = next >= numbers.length;
      more.textContent = `Show more (${count(numbers.length - next)} left)`;
    };
    details.append(more);
    more.addEventListener("click", () => addCards(50));
    addCards(FIRST_CARDS);
    details.scrollTop = 0;
  }

  function activate(node) {
    active = node;
    if (node.tensors.length) choose(node);
    toggle(node, !isOpen(node));
    render(true);
  }

  find("tree").addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) activate(row.node);
  });

  find("tree").addEventListener("keydown", (event) => {
    const place = shown.indexOf(active);
    const moves = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: shown.length - 1 };
    if (event.key in moves) {
      active = shown[Math.min(Math.max(moves[event.key], 0), shown.length - 1)];
    } else if (event.key === "Enter" || event.key === " ") {
      activate(active);
    } else if (event.key === "ArrowRight" && active.isGroup) {
      if (isOpen(active)) active = shown[place + 1];
      else toggle(active, true);
    } else if (event.key === "ArrowLeft") {
      if (isOpen(active)) toggle(active, false);
      else active = active.parent ?? active;
    } else {
      return;
    }
    event.preventDefault();
    render(true);
  });

  find("search").addEventListener("input", (event) => search(event.target.value.trim()));
  find("more-rows").addEventListener("click", () => {
    mostRows += MOST_ROWS;
    render();
  });

  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (prefersDark.matches ? "dark" : "light")) === "dark";
  const nameTheme = () => { find("theme").textContent = isDark() ? "Light theme" : "Dark theme"; };
  find("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  prefersDark.addEventListener("change", nameTheme);
  nameTheme();

  if (nodes.length) {
    openFirst();
    const first = listRows(MOST_ROWS).find((node) => node.tensors.length);
    if (first) choose(first);
    render();
  } else {
    find("found").textContent = "no tensors";
  }
})();
