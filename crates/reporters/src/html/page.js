"use strict";
// Values under the pointer or the arrow keys. Each chart brings its own: [[place from 0 to 1, text], ...] by place.
for (const plot of document.querySelectorAll(".plot[data-hover]")) {
  const values = JSON.parse(plot.dataset.hover);
  const tip = plot.querySelector(".tip"), svg = plot.querySelector("svg");
  const cursor = document.createElementNS(svg.namespaceURI, "line");
  cursor.setAttribute("class", "cursor");
  let at = -1;
  const show = (number) => {
    at = Math.max(0, Math.min(values.length - 1, number));
    const [place, text] = values[at], width = svg.clientWidth || svg.getBoundingClientRect().width;
    const inner = place * width, x = inner + plot.clientWidth - width;
    tip.hidden = false;
    tip.textContent = text;
    const room = plot.clientWidth - tip.offsetWidth;
    tip.style.left = Math.max(0, Math.min(room, x + 10 + tip.offsetWidth > plot.clientWidth ? x - 10 - tip.offsetWidth : x + 10)) + "px";
    for (const [name, value] of [["x1", inner], ["x2", inner], ["y1", 0], ["y2", svg.clientHeight - 20]]) cursor.setAttribute(name, value);
    svg.append(cursor);
  };
  const hide = () => { tip.hidden = true; cursor.remove(); };
  const nearest = (place) => values.reduce((best, value, number) =>
    Math.abs(value[0] - place) < Math.abs(values[best][0] - place) ? number : best, 0);
  plot.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    show(nearest((event.clientX - box.left) / box.width));
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step) show(at + step);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(values.length - 1);
    else if (event.key === "Escape") { hide(); return; }
    else return;
    event.preventDefault();
  });
}
for (const box of document.querySelectorAll(".code")) {
  const button = box.querySelector("button");
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", () => navigator.clipboard.writeText(box.querySelector("code").textContent).then(() => {
    button.textContent = "copied";
  }, () => { button.textContent = "not allowed"; }));
}
// On paper everything stands open.
addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details")) fold.open = true; });
