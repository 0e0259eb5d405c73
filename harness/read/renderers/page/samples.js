"use strict";
// What the two icicles show of a call: the time of one run, or that of two runs and what lies between them.
{
  const time = {
    adds: [true],
    width: ([ms]) => ms,
    look: () => "",
    sign: () => "",
    strength: () => 0,
    label: (name, values, isAll) => isAll ? `${name}: ${time.brief(values)}` : name,
    brief: ([ms]) => duration(ms),
    whole: () => "",
    tell: (values, itself, whole) => `${time.brief(values)}, ${(values[0] / whole[0] * 100).toFixed(1)} % of what is shown; ${time.brief(itself)} by itself`,
  };
  if (document.getElementById("icicle-data")) icicle("icicle", dataOf("icicle"), time);
}
if (document.getElementById("contrast-data")) {
  const data = dataOf("contrast");
  // Of the variance there is no sum: each call has that of all below it.
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
    look: values => ({ "1": "heavier", "0": "", "-1": "lighter" })[moved(values)],
    // Of what moved in all, so that a large change stands out from a sure one.
    strength: (values, whole) => Math.round(14 + 34 * Math.min(1, Math.abs(apart(values)) / Math.max(Math.abs(apart(whole)), difference.width(whole) / 4, 1e-9))),
    label: (name, values) => [sign(values), moved(values) ? signed(values) : "", name].filter(Boolean).join(" "),
    brief: values => `${duration(values[0])} → ${duration(values[1])} per ${data.per}`,
    whole: values => difference.tell(values),
    tell: (values, itself) => `${difference.brief(values)}, ${signed(values)} with a noise of ± ${duration(noise(values))}: ${said(values)}` +
      (itself ? `; by itself ${duration(itself[0])} → ${duration(itself[1])}` : ""),
  };
  icicle("contrast", data, difference);
}
