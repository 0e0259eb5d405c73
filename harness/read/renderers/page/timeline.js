"use strict";
// The lanes on one time axis with one cursor: faults as bands, blocks as links.
{
  const data = dataOf("timeline"), box = document.getElementById("chart");
  const at = data.lanes[0].series[0].values.map((_, index) => (index + 0.5) * data.step_s);
  const format = {
    "ms": duration,
    "share": value => value == null ? "–" : (value * 100).toFixed(value < 0.0995 && value ? 1 : 0) + " %",
    "per second": value => value == null ? "–" : +value.toFixed(1) + "/s",
  };
  // Includes the limit, and room above the longest block.
  const highest = 1.15 * Math.max(data.limit_ms, ...data.lanes[0].series[1].values, ...stalls.stalls.map(one => one.held_ms));

  const strip = element("div", { className: "fault-rows" });
  strip.style.height = 17 * Math.max(0, ...data.bands.map(band => band.row + 1)) + "px";
  const faults = data.bands.map(band => strip.appendChild(element("div", { className: "fault", textContent: band.label, title: band.label })));
  const marks = stalls.stalls.map((stall, index) => {
    const mark = element("a", { className: "stall", href: "#" + stall.id, tabIndex: index ? -1 : 0 });
    mark.title = `${stall.at_s.toFixed(2)} s · ${duration(stall.held_ms)} · ${stall.what}`;
    mark.setAttribute("aria-label", `block at ${stall.at_s.toFixed(2)} s, ${duration(stall.held_ms)}, ${stall.what}`);
    return mark;
  });

  const placed = chart => {
    const left = chart.over.offsetLeft, width = chart.over.clientWidth;
    const within = value => Math.min(width, Math.max(0, chart.valToPos(value, "x")));
    data.bands.forEach((band, index) => {
      const from = within(band.from_s), to = within(band.to_s), style = faults[index].style;
      style.top = band.row * 17 + "px";
      style.left = left + from + "px";
      style.width = Math.max(3, to - from) + "px";
      style.visibility = to > from ? "visible" : "hidden";
    });
    marks.forEach((mark, index) => {
      const stall = stalls.stalls[index], from = chart.valToPos(stall.at_s, "x"), to = chart.valToPos(stall.at_s + stall.held_ms / 1000, "x");
      mark.style.left = Math.max(0, from) + "px";
      mark.style.width = Math.min(width, to) - Math.max(0, from) + "px";
      mark.style.height = chart.over.clientHeight - chart.valToPos(stall.held_ms, "ms") + "px";
      mark.style.visibility = to < 0 || from > width ? "hidden" : "visible";
    });
  };

  const banded = chart => {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.globalAlpha = 0.09;
    ctx.fillStyle = colour("--fault");
    for (const band of data.bands) {
      const from = Math.max(bbox.left, chart.valToPos(band.from_s, "x", true));
      const to = Math.min(bbox.left + bbox.width, chart.valToPos(band.to_s, "x", true));
      if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
    ctx.restore();
  };

  const limited = chart => {
    const { ctx, bbox } = chart, y = chart.valToPos(data.limit_ms, "ms", true);
    ctx.save();
    ctx.strokeStyle = colour("--block");
    ctx.setLineDash([3, 5]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.fillStyle = colour("--block");
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "bottom";
    ctx.fillText(`limit ${duration(data.limit_ms)}`, bbox.left + bbox.width - 4, y - 2);
    ctx.restore();
  };

  const made = (lane, first, last) => {
    const axis = { stroke: () => colour("--soft"), font: "11px system-ui, sans-serif", grid: { stroke: () => colour("--rule"), width: 1 }, ticks: { show: false } };
    const unit = lane.series.at(-1).unit;
    return new uPlot({
      title: lane.title,
      width: box.clientWidth,
      height: last ? 148 : 132,
      padding: [8, 4, 0, 0],
      cursor: { sync: { key: "time", setSeries: false }, drag: { x: true, y: false }, points: { size: 5 } },
      legend: { live: true, markers: { stroke: (_, index) => `var(${lane.series[index - 1].tone})`, fill: (_, index) => lane.series[index - 1].style === "area" ? `var(${lane.series[index - 1].tone})` : "none" } },
      scales: {
        x: { time: false, range: (_, from, to) => from === at[0] && to === at.at(-1) ? [0, data.whole_s] : [from, to] },
        share: { range: [0, 1] },
        ms: { range: (_, low, high) => [0, first ? highest : high * 1.08 || 1] },
        "per second": { range: (_, low, high) => [0, high * 1.08 || 1] },
      },
      axes: [
        { ...axis, size: last ? 26 : 6, values: (_, splits) => splits.map(value => last ? value + " s" : "") },
        { ...axis, scale: unit, size: 56, space: 36, values: (_, splits) => splits.map(value => unit === "ms" ? duration(value) : String(value)) },
        // The scale of the busy share, beside which the other lanes keep the same room.
        { ...axis, scale: first ? "share" : unit, side: 1, size: 44, grid: { show: false }, splits: first ? () => [0, 0.5, 1] : undefined, values: (_, splits) => splits.map(value => first ? format.share(value) : "") },
      ],
      series: [
        { label: "at", value: (_, value) => value == null ? "–" : value.toFixed(2) + " s" },
        ...lane.series.map(one => ({
          label: one.name,
          scale: one.unit,
          value: (_, value) => format[one.unit](value),
          stroke: () => colour(one.tone),
          fill: one.style === "area" ? () => colour(one.tone) : undefined,
          dash: one.style === "dashed" ? [4, 4] : undefined,
          width: one.style === "area" ? 0 : 1.5,
          points: one.style === "points" ? { show: true, size: 5, filter: () => one.dots } : { show: one.style !== "area" && lonely(one.values), size: 5 },
          paths: { area: uPlot.paths.bars({ size: [1, Infinity] }), points: () => null }[one.style],
        })),
      ],
      hooks: {
        drawClear: [banded],
        draw: first ? [limited, placed] : [],
        init: first ? [chart => chart.over.append(...marks)] : [],
        // All lanes zoom together.
        setScale: [(chart, key) => key === "x" && zoomed(chart)],
      },
    }, [at, ...lane.series.map(one => one.values)], element("div"));
  };

  // A value between two gaps needs a point, because it has no line.
  const lonely = values => values.some((value, index) => value != null && values[index - 1] == null && values[index + 1] == null);

  let charts = [];
  const zoomed = source => {
    const { min, max } = source.scales.x;
    for (const chart of charts) {
      if (chart !== source && (chart.scales.x.min !== min || chart.scales.x.max !== max)) chart.setScale("x", { min, max });
    }
  };

  box.append(strip);
  const all = data.lanes.map((lane, index) => made(lane, index === 0, index === data.lanes.length - 1));
  all.forEach(chart => box.append(element("div", { className: "lane" }, chart.root)));
  charts = all;

  const fit = () => charts.forEach(chart => chart.setSize({ width: box.clientWidth, height: chart.height }));
  addEventListener("resize", fit);
  addEventListener("theme", () => charts.forEach(chart => chart.redraw(false)));
  addEventListener("beforeprint", fit);
  addEventListener("afterprint", fit);

  const go = (from, key) => {
    const next = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: marks.length - 1 }[key];
    if (next === undefined || !marks[next]) return false;
    marks.forEach(mark => { mark.tabIndex = -1; });
    marks[next].tabIndex = 0;
    marks[next].focus();
    return true;
  };
  marks.forEach((mark, index) => {
    mark.addEventListener("keydown", event => { if (go(index, event.key)) event.preventDefault(); });
    mark.addEventListener("focus", () => charts[0].setCursor({ left: charts[0].valToPos(stalls.stalls[index].at_s, "x"), top: 1 }));
    // Otherwise a press starts dragging.
    mark.addEventListener("mousedown", event => event.stopPropagation());
  });
}
