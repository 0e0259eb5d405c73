"use strict";
// The samples of the traces, each on its span at its time.
{
  const data = dataOf("icicle");
  const FRAMES = 10;
  const lineOf = call => data.lines[data.called[call - 1]];
  const stackOf = call => {
    const calls = [];
    for (let at = call; at; at = data.callers[at - 1]) calls.unshift(at);
    return calls;
  };

  const describe = (output, [, , from, to, count, thread, call], span) => {
    const calls = stackOf(call), shown = calls.slice(-FRAMES);
    const frames = shown.flatMap((at, index) => {
      const [name, where, own] = lineOf(at);
      return [index ? " › " : "", element(own ? "b" : "span", { textContent: name }), ` ${where}`];
    });
    output.replaceChildren(`${duration(from)} to ${duration(to)} in the trace, in ${span}, ${count === 1 ? "1 sample" : `${count} samples`} of ${data.threads[thread].name || "a thread"}: `,
      calls.length > shown.length ? `… ${calls.length - shown.length} frames › ` : "", ...(frames.length ? frames : ["the loop itself"]));
  };

  document.querySelectorAll(".fall").forEach((fall, number) => {
    const marks = data.marked.marks.filter(mark => mark[0] === number);
    if (!marks.length) return;
    const whole = +fall.dataset.tookMs || 0.001, rows = [...fall.querySelectorAll("[data-span]")];
    const output = element("p", { className: "details" });
    output.textContent = "Hover a sample, or focus it with Tab and the arrow keys, to see its stack.";
    output.setAttribute("aria-live", "polite");
    fall.setAttribute("role", "group");
    fall.setAttribute("aria-label", "Samples of this trace; the arrow keys move between them");
    const ticks = marks.map((mark, index) => {
      const [, row, from, to, count, , call] = mark, name = rows[row].dataset.span;
      const [line, where] = call ? lineOf(call) : ["the loop itself", ""];
      const tick = element("button", { type: "button", className: "tick", tabIndex: index ? -1 : 0 });
      if (stackOf(call).some(at => lineOf(at)[2])) tick.classList.add("own");
      tick.style.left = from / whole * 100 + "%";
      tick.style.width = (to - from) / whole * 100 + "%";
      tick.setAttribute("aria-label", `${count === 1 ? "sample" : `${count} samples`} at ${duration(to)} in ${name}: ${line} ${where}`);
      const show = () => {
        describe(output, mark, name);
        ticks.forEach((other, at) => other.classList.toggle("same", marks[at][6] === call));
      };
      tick.addEventListener("pointerover", show);
      tick.addEventListener("focus", show);
      tick.addEventListener("keydown", event => {
        const middle = (from + to) / 2;
        // The sample nearest in time, in the next row that has samples.
        const beside = step => {
          const further = marks.map((other, at) => [other, at]).filter(([other]) => step * (other[1] - row) > 0);
          const next = further.length && further.reduce((a, b) => step * (b[0][1] - a[0][1]) < 0 ? b : a)[0][1];
          const there = further.filter(([other]) => other[1] === next);
          return there.length ? there.reduce((a, b) => Math.abs((b[0][2] + b[0][3]) / 2 - middle) < Math.abs((a[0][2] + a[0][3]) / 2 - middle) ? b : a)[1] : index;
        };
        const to_ = { ArrowLeft: () => index - 1, ArrowRight: () => index + 1, Home: () => 0, End: () => ticks.length - 1, ArrowUp: () => beside(-1), ArrowDown: () => beside(1) }[event.key];
        if (!to_) return;
        event.preventDefault();
        const next = ticks[to_()];
        if (!next) return;
        tick.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      });
      rows[row].querySelector(".track").append(tick);
      rows[row].classList.add("sampled");
      return tick;
    });
    fall.after(output);
  });
}
