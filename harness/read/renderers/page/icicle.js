"use strict";
// Samples as an icicle: callers above what they call. A call has a higher number than its caller. *kind* defines the
// values of a row and how they are shown: those of one run, or of two (`samples.js`).
const icicle = (name, data, kind) => {
  const [view, form, details] = ["view", "filter", "details"].map(part => document.getElementById(`${name}-${part}`));
  const HEIGHT = 20, THINNEST = 0.0025;
  // Pixels of a letter and around it: a box too narrow for its figure gets no text, because a truncated number
  // would be wrong.
  const LETTER = 7.2, AROUND = 9;
  const ROOM = 100, CRUMBS = 0.05, SOME = 5, FILES = 5;
  const lineOf = call => data.lines[data.called[call - 1]];
  // Of a library that is folded, only the call into it is shown. *parents* has the caller of each call that is shown.
  let children = [], parents = [];
  const arranged = () => {
    const folded = form.elements.folded.checked, calls = data.callers.length + 1;
    const isShown = call => !call || !folded || lineOf(call)[2] || !data.callers[call - 1] || lineOf(data.callers[call - 1])[2];
    children = Array.from({ length: calls }, () => []);
    parents = new Array(calls).fill(0);
    for (let call = 1; call < calls; call++) {
      const caller = data.callers[call - 1];
      parents[call] = isShown(caller) ? caller : parents[caller];
      if (isShown(call)) children[parents[call]].push(call);
    }
  };
  const fileNumbers = new Map();
  const fileOf = ([, where]) => {
    const file = where.replace(/:\d+$/, "");
    if (!fileNumbers.has(file)) fileNumbers.set(file, fileNumbers.size % FILES);
    return `file-${fileNumbers.get(file)}`;
  };
  // For each value of a row its sum by call, and the width of each call.
  let sums = [], spent = [], above = 0, skipped = null;
  const valuesOf = call => sums.map(sum => sum[call]);
  const itselfOf = call => sums.map(sum => sum[call] - children[call].reduce((all, callee) => all + sum[callee], 0));

  const offer = (name, options) => form.elements[name].append(...options.map(([value, text]) => element("option", { value, textContent: text })));
  const numbered = names => names.map((name, index) => [index, name || "none"]);
  const off = data.threads.some(thread => !thread.on_loop);
  offer("thread", [["loop", off ? "all loops" : "all"], ...(off ? [["off", "off the loop"]] : []), ...data.threads.map((thread, index) =>
    [index, `${thread.name || "?"}${{ thread: ", biased", outside: ", from outside", late: ", late turns only" }[thread.way] || ""}`])]);
  offer("span", [["", "all"], ...numbered(data.spans)]);
  offer("coroutine", [["", "all"], ...numbered(data.coroutines)]);

  const counted = () => {
    const chosen = Object.fromEntries(["thread", "span", "coroutine"].map(name => [name, form.elements[name].value]));
    sums = kind.adds.map(() => new Float64Array(data.callers.length + 1));
    for (const [thread, coroutine, span, call, ...values] of data.rows) {
      const meant = chosen.thread === "loop" ? data.threads[thread].on_loop : chosen.thread === "off" ? !data.threads[thread].on_loop : +chosen.thread === thread;
      if (meant && (!chosen.span || +chosen.span === span) && (!chosen.coroutine || +chosen.coroutine === coroutine)) values.forEach((value, index) => { sums[index][call] += value; });
    }
    kind.adds.forEach((adds, index) => {
      for (let call = data.callers.length; adds && call > 0; call--) sums[index][data.callers[call - 1]] += sums[index][call];
    });
    spent = Float64Array.from(sums[0], (_, call) => kind.width(valuesOf(call)));
  };

  const calleesOf = call => children[call].filter(callee => spent[callee]).sort((a, b) => spent[b] - spent[a]);
  const sumOf = calls => calls.reduce((sum, call) => sum + spent[call], 0);
  const searched = () => form.elements.search.value.trim().toLowerCase();
  const found = call => searched() && (lineOf(call)[0] + " " + lineOf(call)[1]).toLowerCase().includes(searched());

  const place = (made, depth, left, width) => Object.assign(made.style, { left: left * 100 + "%", width: width * 100 + "%", top: depth * HEIGHT + "px" });
  const box = (call, depth, left, width) => {
    const [name, where, own] = call ? lineOf(call) : ["everything", "", false];
    const figure = kind.figure(valuesOf(call), call ? spent[call] / spent[0] : 1), sign = kind.sign(valuesOf(call));
    const fits = text => width * view.clientWidth >= text.length * LETTER + AROUND, thin = call && !fits(figure);
    const text = !call ? kind.all(valuesOf(call)) : fits(`${figure} ${name.slice(0, 3)}…`) ? `${figure} ${name} ${where}` : figure;
    const made = element("div", { tabIndex: -1, textContent: !thin ? text : fits(sign) ? sign : "" });
    made.className = [own ? kind.byFile ? `own ${fileOf(lineOf(call))}` : "own" : "", kind.tone(valuesOf(call)), call && found(call) ? "found" : "", thin ? "thin" : ""].filter(Boolean).join(" ");
    made.style.setProperty("--strength", kind.strength(valuesOf(call), valuesOf(0)));
    place(made, depth, left, width);
    made.setAttribute("role", "treeitem");
    made.setAttribute("aria-level", depth + 1);
    made.setAttribute("aria-label", `${name} ${where}, ${kind.brief(valuesOf(call))}`);
    made.dataset.call = call;
    return made;
  };

  // One box for the callees of a call that are too thin to draw. Selecting it gives them the whole width, as many
  // at a time as fit.
  const crumbs = (caller, from, depth, left, width) => {
    const text = `${calleesOf(caller).length - from} more, each too thin to draw`;
    const made = element("div", { className: "crumbs", tabIndex: -1, textContent: width * view.clientWidth < text.length * LETTER + AROUND ? "" : text });
    place(made, depth, left, width);
    made.setAttribute("role", "treeitem");
    made.setAttribute("aria-level", depth + 1);
    made.setAttribute("aria-label", text);
    Object.assign(made.dataset, { caller, from });
    return made;
  };

  const draw = focused => {
    const boxes = [], path = [];
    for (let call = above; call; call = parents[call]) path.unshift(call);
    [0, ...path].forEach((call, depth) => boxes.push(box(call, depth, 0, 1)));
    let deepest = path.length;
    const below = (call, depth, left, width) => {
      const all = calleesOf(call), closely = call === above && skipped !== null;
      const first = closely ? skipped : 0, last = closely ? first + ROOM : all.length;
      const callees = all.slice(first, last), further = all.length > last ? CRUMBS : 0;
      const whole = closely ? sumOf(callees) / (1 - further) : spent[call];
      let from = left;
      for (const [index, callee] of callees.entries()) {
        const share = whole ? spent[callee] / whole * width : 0;
        if (share < THINNEST) {
          const rest = sumOf(callees.slice(index)) / whole * width;
          if (rest >= THINNEST) boxes.push(crumbs(call, first + index, depth, from, rest));
          deepest = Math.max(deepest, depth);
          return;
        }
        boxes.push(box(callee, depth, from, share));
        deepest = Math.max(deepest, depth);
        below(callee, depth + 1, from, share);
        from += share;
      }
      if (further) boxes.push(crumbs(call, last, depth, from, left + width - from));
    };
    below(above, path.length + 1, 0, 1);
    view.replaceChildren(...boxes);
    view.style.height = (deepest + 1) * HEIGHT + "px";
    const first = boxes.find(one => +one.dataset.call === (focused ?? above)) || boxes[0];
    first.tabIndex = 0;
    if (focused !== undefined) first.focus();
    form.querySelector("output").textContent = kind.brief(valuesOf(0)) + (searched() ? `, ${matching()}` : "");
    show(above);
  };

  // How many calls match the search, drawn or not, and their share; a call inside another one counts once.
  const matching = () => {
    let count = 0, share = 0;
    const inside = new Array(parents.length).fill(false);
    for (let call = 1; call < parents.length; call++) {
      if (!children[parents[call]].includes(call)) continue;
      const matches = spent[call] > 0 && found(call);
      if (matches) count++;
      if (matches && !inside[parents[call]]) share += spent[call];
      inside[call] = inside[parents[call]] || matches;
    }
    return `${count} found, ${(share / (spent[0] || 1) * 100).toFixed(1)} %`;
  };

  const show = call => {
    if (!call) { details.textContent = spent[0] ? kind.whole(valuesOf(0)) : "No samples."; return; }
    const [name, where, own] = lineOf(call);
    details.replaceChildren(element("code", { textContent: name }), ` ${where}${own ? "" : " (library)"}: ${kind.details(valuesOf(call), itselfOf(call), valuesOf(0))}`);
  };

  const showAt = at => {
    if (at.dataset.call) return show(+at.dataset.call);
    const rest = calleesOf(+at.dataset.caller).slice(+at.dataset.from);
    const some = rest.slice(0, SOME).map(call => `${lineOf(call)[0]} ${lineOf(call)[1]}`).join(", ");
    details.textContent = `${rest.length} calls, ${(sumOf(rest) / spent[0] * 100).toFixed(1)} % of what is shown; select them to zoom in. The largest: ${some}`;
  };
  const boxAt = event => event.target.closest("[role=treeitem]");
  const zoom = (call, from = null) => { [above, skipped] = [call, from]; draw(call); };
  const zoomAt = at => at.dataset.call ? zoom(+at.dataset.call) : zoom(+at.dataset.caller, +at.dataset.from);
  view.addEventListener("click", event => { const at = boxAt(event); if (at) zoomAt(at); });
  view.addEventListener("pointerover", event => { const at = boxAt(event); if (at) showAt(at); });
  view.addEventListener("focusin", event => { const at = boxAt(event); if (at) showAt(at); });
  view.addEventListener("keydown", event => {
    const at = boxAt(event);
    if (!at) return;
    const call = +at.dataset.call, level = at.getAttribute("aria-level");
    const same = [...view.querySelectorAll(`[aria-level="${level}"]`)], index = same.indexOf(at);
    const shown = number => view.querySelector(`[data-call="${number}"]`);
    const next = {
      ArrowUp: () => at.dataset.caller ? shown(at.dataset.caller) : call && shown(parents[call]),
      ArrowDown: () => at.dataset.call && (calleesOf(call).map(shown).find(Boolean) || view.querySelector(`[data-caller="${call}"]`)),
      ArrowLeft: () => same[index - 1],
      ArrowRight: () => same[index + 1],
    }[event.key];
    if (event.key === "Enter" || event.key === " ") zoomAt(at);
    else if (event.key === "Escape") zoom(0);
    else if (next) {
      const to = next();
      if (to) { at.tabIndex = -1; to.tabIndex = 0; to.focus(); }
    } else return;
    event.preventDefault();
  });
  const filtered = () => { [above, skipped] = [0, null]; arranged(); counted(); draw(); };
  form.addEventListener("change", filtered);
  form.elements.search.addEventListener("input", () => draw());
  form.addEventListener("submit", event => event.preventDefault());
  form.hidden = false;
  filtered();
};
