"use strict";
// Shared by all parts of the page: its data, its current colours, and formatting of figures.
const dataOf = name => JSON.parse(document.getElementById(name + "-data").textContent);

const duration = ms => {
  if (ms == null) return "–";
  if (ms >= 999.5) return (ms / 1000).toFixed(ms < 9995 ? 2 : 1) + " s";
  if (ms > 0 && ms < 0.0995) return +(ms * 1000).toPrecision(2) + " µs";
  return +ms.toFixed(ms >= 99.95 ? 0 : ms >= 0.995 ? 1 : 2) + " ms";
};

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

// A canvas needs a colour, not a variable.
const colour = name => {
  const probe = document.body.appendChild(element("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

{
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    dispatchEvent(new Event("theme"));
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  dark.addEventListener("change", show);
  button.textContent = isDark() ? "Light" : "Dark";
}

// On paper nothing can be opened, so the checks are printed in full.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("section[aria-labelledby=checks] details:not([open])")];
  opened.forEach(entry => { entry.open = true; });
});
addEventListener("afterprint", () => opened.forEach(entry => { entry.open = false; }));
addEventListener("beforeprint", () => dispatchEvent(new Event("theme")));
addEventListener("afterprint", () => dispatchEvent(new Event("theme")));
