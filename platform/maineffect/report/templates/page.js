(() => {
  "use strict";
  // Tables: a click on a head sorts by it; numbers by size, with what is no number last.
  const numeric = (text) => {
    const found = text.replace(/\u2212/g, "-").match(/^[^\d+.-]*([+-]?\d*\.?\d+(?:e[+-]?\d+)?)/i);
    return found ? parseFloat(found[1]) : NaN;
  };
  const compare = (a, b) => {
    const x = numeric(a), y = numeric(b);
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return Number.isNaN(x) ? a.localeCompare(b) : x - y;
  };
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 3) continue;
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      const all = head.classList.contains("num");
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const order = all ? compare : (a, b) => a.localeCompare(b, undefined, { numeric: true });
        const text = (row) => row.cells[column].textContent.trim();
        const rows = [...body.rows].sort((a, b) => order(text(a), text(b)));
        if (down) rows.reverse();
        body.append(...rows);
      });
    });
  }
  // A link to what is folded unfolds it; so does printing.
  const unfold = (element) => {
    for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    element?.querySelector(":scope > details.fold")?.setAttribute("open", "");
  };
  const arrive = () => {
    const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (wanted) { unfold(wanted); wanted.scrollIntoView(); }
  };
  addEventListener("hashchange", arrive);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  if (location.hash) arrive();
  // The profiler: sliders move every curve.
  const holder = document.querySelector(".profiler");
  if (!holder || typeof vegaEmbed === "undefined") return;
  const model = JSON.parse(holder.querySelector("script").textContent);
  const inputs = [...holder.querySelectorAll("input[type=range]")];
  const chosen = holder.querySelector("select");
  const said = holder.querySelector(".now");
  const at = inputs.map(() => 0);
  const shown = (value, places) => {
    const text = value.toFixed(places).replace("-", "\u2212");
    return /[1-9]/.test(text) ? text : text.replace("\u2212", "");
  };
  const signed = (value, places) => {
    const text = shown(value, places);
    return value > 0 && /[1-9]/.test(text) ? "+" + text : text;
  };
  const response = () => model.responses[Number(chosen.value)];
  const rows = () => model.cells.flatMap((cell, i) => {
    const e = response().e[i];
    if (e === null) return [];
    return [{ ...Object.fromEntries(cell.map((c, k) => ["c" + k, c])), e, l: response().l[i] ?? e, h: response().h[i] ?? e }];
  });
  const tell = () => {
    const r = response(), i = model.cells.findIndex((cell) => cell.every((c, k) => c === at[k]));
    const e = r.e[i], low = r.l[i], high = r.h[i];
    const [what, between] = [document.createElement("b"), document.createElement("strong")];
    what.className = "name";
    what.textContent = r.name;
    between.textContent = e === null ? "not estimable" : shown(e, r.places) + (r.unit ? "\u202f" + r.unit : "");
    const ends = e === null || low === null ? "no interval" : signed(low, r.places) + " to " + signed(high, r.places);
    said.replaceChildren(what, ": ", between, ` (${ends})`);
  };
  const panels = [...holder.querySelectorAll(".panel")];
  Promise.all(panels.map((panel, i) => {
    const live = document.createElement("div");
    const spec = { ...model.specs[i], config: model.config, datasets: { grid: rows() } };
    return vegaEmbed(live, spec, { mode: "vega-lite", actions: false, renderer: "svg", tooltip: false }).then((made) => {
      live.className = "panel live";
      const drawn = live.querySelector("svg");
      drawn.setAttribute("role", "img");
      drawn.setAttribute("aria-label", "Predictions by " + inputs[i].dataset.name + "; the numbers stand above the pictures.");
      // One image with one text: its parts, which Vega labels too, are not read out.
      [...drawn.children].forEach((part) => part.setAttribute("aria-hidden", "true"));
      panel.replaceWith(live);
      return made.view;
    });
  })).then((views) => {
    const move = () => {
      inputs.forEach((input, k) => {
        at[k] = Number(input.value);
        const label = model.labels[k][at[k]];
        input.setAttribute("aria-valuetext", label);
        input.parentElement.querySelector("output").textContent = label;
      });
      tell();
      views.forEach((view) => { at.forEach((place, k) => view.signal("at" + k, place)); view.runAsync(); });
    };
    inputs.forEach((input) => input.addEventListener("input", move));
    chosen.addEventListener("change", () => {
      views.forEach((view) => view.data("grid", rows()).runAsync());
      tell();
    });
    holder.querySelector(".controls").hidden = false;
    holder.querySelector(".still").remove();
    holder.dataset.live = "yes";
  });
})();
