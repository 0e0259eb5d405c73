"use strict";
// What the two icicles show of a call: the time in one run, or the times in two runs and their difference.
{
  const time = {
    adds: [true],
    byFile: true,
    width: ([ms]) => ms,
    tone: () => "",
    sign: () => "",
    strength: () => 0,
    all: values => `everything: ${time.brief(values)}`,
    figure: (_, share) => `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`,
    brief: ([ms]) => duration(ms),
    whole: () => "",
    details: (values, itself, whole) => `${time.brief(values)}, ${(values[0] / whole[0] * 100).toFixed(1)} % of what is shown; ${time.brief(itself)} by itself`,
  };
  if (document.getElementById("icicle-data")) icicle("icicle", dataOf("icicle"), time);
}
if (document.getElementById("diff-data")) {
  const data = dataOf("diff");
  // Variances do not add up: that of each call includes all below it.
  const apart = ([base, head]) => head - base;
  const noise = ([, , variance]) => 2 * Math.sqrt(variance);
  const moved = values => Math.abs(apart(values)) <= noise(values) ? 0 : Math.sign(apart(values));
  const signed = values => (apart(values) < 0 ? "−" : "+") + duration(Math.abs(apart(values)));
  const sign = values => ({ "1": "▲", "0": "≈", "-1": "▼" })[moved(values)];
  const said = values => ({ "1": "heavier", "0": "within the noise", "-1": "lighter" })[moved(values)];
  const difference = {
    adds: [true, true, false],
    sign,
    width: ([base, head]) => (base + head) / 2,
    tone: values => ({ "1": "heavier", "0": "", "-1": "lighter" })[moved(values)],
    // Relative to the total change, so that large changes stand out, not merely certain ones.
    strength: (values, whole) => Math.round(14 + 34 * Math.min(1, Math.abs(apart(values)) / Math.max(Math.abs(apart(whole)), difference.width(whole) / 4, 1e-9))),
    all: values => `${difference.figure(values)} everything`,
    figure: values => moved(values) ? `${sign(values)} ${signed(values)}` : sign(values),
    brief: values => `${duration(values[0])} → ${duration(values[1])} per ${data.per}`,
    whole: values => difference.details(values),
    details: (values, itself) => `${difference.brief(values)}, ${signed(values)} ± ${duration(noise(values))}: ${said(values)}` +
      (itself ? `; by itself ${duration(itself[0])} → ${duration(itself[1])}` : ""),
  };
  icicle("diff", data, difference);
}
