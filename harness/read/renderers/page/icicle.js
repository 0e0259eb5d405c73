"use strict";
// The samples as an icicle: callers above what they call. Calls have higher numbers than those that make them.
{
  const data = dataOf("icicle");
  const view = document.getElementById("icicle-view"), form = document.getElementById("icicle-filter"), told = document.getElementById("icicle-told");
  const HEIGHT = 20, THINNEST = 0.0025;
  const children = Array.from({ length: data.callers.length + 1 }, () => []);
  data.callers.forEach((caller, index) => children[caller].push(index + 1));
  let spent = [], above = 0;

  const offer = (name, options) => form.elements[name].append(...options.map(([value, text]) => element("option", { value, textContent: text })));
  const numbered = names => names.map((name, index) => [index, name || "none"]);
  const off = data.threads.some(thread => !thread.on_loop);
  offer("thread", [["loop", off ? "all loops" : "all"], ...(off ? [["off", "off the loop"]] : []), ...data.threads.map((thread, index) =>
    [index, `${thread.name || "?"}${{ thread: ", biased", outside: ", from outside", late: ", late turns only" }[thread.way] || ""}`])]);
  offer("span", [["", "all"], ...numbered(data.spans)]);
  offer("coroutine", [["", "all"], ...numbered(data.coroutines)]);

  const counted = () => {
    const chosen = Object.fromEntries(["thread", "span", "coroutine"].map(name => [name, form.elements[name].value]));
    spent = new Float64Array(children.length);
    for (const [thread, coroutine, span, call, took_ms] of data.rows) {
      const meant = chosen.thread === "loop" ? data.threads[thread].on_loop : chosen.thread === "off" ? !data.threads[thread].on_loop : +chosen.thread === thread;
      if (meant && (!chosen.span || +chosen.span === span) && (!chosen.coroutine || +chosen.coroutine === coroutine)) spent[call] += took_ms;
    }
    for (let call = children.length - 1; call > 0; call--) spent[data.callers[call - 1]] += spent[call];
  };

  const calleesOf = call => children[call].filter(callee => spent[callee]).sort((a, b) => spent[b] - spent[a]);
  const lineOf = call => data.lines[data.called[call - 1]];
  const searched = () => form.elements.search.value.trim().toLowerCase();
  const found = call => searched() && (lineOf(call)[0] + " " + lineOf(call)[1]).toLowerCase().includes(searched());

  const box = (call, depth, left, width) => {
    const [name, where, own] = call ? lineOf(call) : ["everything", "", false];
    const made = element("div", { tabIndex: -1, textContent: call ? `${name} ${where}` : `everything: ${duration(spent[0])}` });
    made.className = (own ? "own" : "") + (call && found(call) ? " found" : "");
    made.style.cssText = `left:${left * 100}%;width:${width * 100}%;top:${depth * HEIGHT}px`;
    made.setAttribute("role", "treeitem");
    made.setAttribute("aria-level", depth + 1);
    made.setAttribute("aria-label", `${name} ${where}, ${duration(spent[call])}`);
    made.dataset.call = call;
    return made;
  };

  // What is too thin to be drawn, together; it has no call, so it cannot be selected.
  const crumbs = (count, depth, left, width) => {
    const made = element("div", { textContent: `${count} more, each too thin to draw` });
    made.style.cssText = `left:${left * 100}%;width:${width * 100}%;top:${depth * HEIGHT}px;cursor:default`;
    return made;
  };

  const draw = focused => {
    const boxes = [], path = [];
    for (let call = above; call; call = data.callers[call - 1]) path.unshift(call);
    [0, ...path].forEach((call, depth) => boxes.push(box(call, depth, 0, 1)));
    let deepest = path.length;
    const below = (call, depth, left, width) => {
      let from = left;
      const callees = calleesOf(call);
      for (const [index, callee] of callees.entries()) {
        const share = spent[call] ? spent[callee] / spent[call] * width : 0;
        if (share < THINNEST) {
          const rest = callees.slice(index).reduce((sum, thin) => sum + spent[thin], 0) / spent[call] * width;
          if (rest >= THINNEST) boxes.push(crumbs(callees.length - index, depth, from, rest));
          deepest = Math.max(deepest, depth);
          break;
        }
        boxes.push(box(callee, depth, from, share));
        deepest = Math.max(deepest, depth);
        below(callee, depth + 1, from, share);
        from += share;
      }
    };
    below(above, path.length + 1, 0, 1);
    view.replaceChildren(...boxes);
    view.style.height = (deepest + 1) * HEIGHT + "px";
    const first = boxes.find(one => +one.dataset.call === (focused ?? above)) || boxes[0];
    first.tabIndex = 0;
    if (focused !== undefined) first.focus();
    const matching = searched() ? boxes.filter(one => one.classList.contains("found")).length : null;
    form.querySelector("output").textContent = duration(spent[0]) + (matching === null ? "" : `, ${matching} found`);
    tell(above);
  };

  const tell = call => {
    if (!call) { told.textContent = spent[0] ? "" : "Nothing was sampled there."; return; }
    const [name, where, own] = lineOf(call);
    const itself = spent[call] - children[call].reduce((sum, callee) => sum + spent[callee], 0);
    told.replaceChildren(element("code", { textContent: name }), ` ${where}${own ? "" : " (library)"}: ${duration(spent[call])}, ` +
      `${(spent[call] / spent[0] * 100).toFixed(1)} % of what is shown; ${duration(itself)} by itself`);
  };

  const callAt = event => event.target.closest("[data-call]");
  const closer = call => { above = call; draw(call); };
  view.addEventListener("click", event => { const at = callAt(event); if (at) closer(+at.dataset.call); });
  view.addEventListener("pointerover", event => { const at = callAt(event); if (at) tell(+at.dataset.call); });
  view.addEventListener("focusin", event => { const at = callAt(event); if (at) tell(+at.dataset.call); });
  view.addEventListener("keydown", event => {
    const at = callAt(event);
    if (!at) return;
    const call = +at.dataset.call, level = at.getAttribute("aria-level");
    const same = [...view.querySelectorAll(`[aria-level="${level}"]`)], index = same.indexOf(at);
    const shown = number => view.querySelector(`[data-call="${number}"]`);
    const next = {
      ArrowUp: () => call && shown(data.callers[call - 1]),
      ArrowDown: () => calleesOf(call).map(shown).find(Boolean),
      ArrowLeft: () => same[index - 1],
      ArrowRight: () => same[index + 1],
    }[event.key];
    if (event.key === "Enter" || event.key === " ") closer(call);
    else if (event.key === "Escape") closer(0);
    else if (next) {
      const to = next();
      if (to) { at.tabIndex = -1; to.tabIndex = 0; to.focus(); }
    } else return;
    event.preventDefault();
  });
  const filtered = () => { above = 0; counted(); draw(); };
  form.addEventListener("change", filtered);
  form.elements.search.addEventListener("input", () => draw());
  form.addEventListener("submit", event => event.preventDefault());
  form.hidden = false;
  filtered();
}
