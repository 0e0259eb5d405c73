"use strict";
// A link to a block opens it. The longest blocks of each place are in the page; the stacks of the others on the
// timeline are in the data, and are added to the page when they are opened.
const stalls = dataOf("stalls");

{
  const row = ([number, mark]) => {
    if (number < 0) return element("li", {}, element("span", { textContent: `… ${-number} frames` }));
    const [name, where] = stalls.lines[number];
    const item = element("li", { className: mark });
    item.append(element("span", { textContent: name }), element("span", { textContent: where }));
    return item;
  };

  const added = id => {
    const stall = stalls.stalls.find(one => one.id === id && one.stack);
    if (!stall) return null;
    const summary = element("summary", {}, element("span", { className: "held", textContent: duration(stall.held_ms) }),
      element("span", { textContent: `at ${stall.at_s.toFixed(2)} s` }), element("code", { textContent: stall.what }));
    if (stall.task) summary.append(element("span", { className: "dim", textContent: `task ${stall.task}` }));
    if (stall.span) summary.append(element("span", { className: "dim", textContent: `span ${stall.span}` }));
    if (stall.waited) summary.append(element("span", { className: "dim", textContent: `${stall.waited} waited` }));
    const stack = stall.stack.length ? element("ol", { className: "stack" }, ...stall.stack.map(row))
      : element("p", { textContent: "No sample was taken in this turn." });
    const entry = element("details", { id }, summary, element("div", { className: "body" }, stack));
    if (stall.place) {
      entry.lastChild.append(element("a", { href: `#place-${stall.place}`, textContent: "Source and fix" }));
    }
    document.getElementById("further").prepend(entry);
    return entry;
  };

  const open = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && (document.getElementById(id) || added(id));
    if (!target || !target.matches("details, article")) return;
    const entry = target.matches("details") ? target : target.querySelector("details");
    if (!entry) return;
    entry.open = true;
    entry.querySelector("summary").focus({ preventScroll: true });
    target.scrollIntoView({ block: target.offsetHeight < innerHeight ? "center" : "start" });
  };
  addEventListener("hashchange", open);
  // The hash does not change when the same stall is selected again.
  document.addEventListener("click", event => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) setTimeout(open);
  });
  open();
}
