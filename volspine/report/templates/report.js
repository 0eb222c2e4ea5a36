"use strict";
(() => {
  const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));
  const numbers = (text) => text.split(" ").map(Number);
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const less = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const SVG = "http://www.w3.org/2000/svg";
  const STEPS = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -5, PageDown: 5, Home: -1e9, End: 1e9 };

  // A slice in the patient: its corner, the unit steps across and down, its normal, all LPS.
  const planeOf = (element) => {
    const v = numbers(element.dataset.plane), size = numbers(element.dataset.size);
    const plane = { corner: v.slice(0, 3), across: v.slice(3, 6), down: v.slice(6, 9), size };
    plane.normal = cross(plane.across, plane.down);
    return plane;
  };
  const place = (plane, x, y) => plane.corner.map((c, n) => c + x * plane.across[n] + y * plane.down[n]);

  // Shorten the ends [from, to] of a way, which is at `start` + t `step`, to 0 <= value <= most.
  const within = (ends, start, step, most) => {
    if (Math.abs(step) < 1e-9) return start >= 0 && start <= most ? ends : null;
    const a = -start / step, b = (most - start) / step;
    const shorter = [Math.max(ends[0], Math.min(a, b)), Math.min(ends[1], Math.max(a, b))];
    return shorter[0] < shorter[1] ? shorter : null;
  };

  // Where `other` cuts `plane`: the ends of the line in the picture of `plane`, or null.
  const cut = (plane, other) => {
    const a = dot(plane.across, other.normal), b = dot(plane.down, other.normal);
    const c = dot(less(plane.corner, other.corner), other.normal), steep = a * a + b * b;
    if (steep < 0.25) return null;
    const x = -c * a / steep, y = -c * b / steep, length = Math.sqrt(steep);
    const step = [-b / length, a / length];
    const from = less(place(plane, x, y), other.corner), way = less(place(plane, step[0], step[1]), plane.corner);
    let ends = within([-1e4, 1e4], x, step[0], plane.size[0]);
    ends = ends && within(ends, y, step[1], plane.size[1]);
    ends = ends && within(ends, dot(from, other.across), dot(way, other.across), other.size[0]);
    ends = ends && within(ends, dot(from, other.down), dot(way, other.down), other.size[1]);
    return ends && ends.map((t) => [x + t * step[0], y + t * step[1]]);
  };

  const panels = new Map();
  let lastScroll = -1e9;
  addEventListener("scroll", () => { lastScroll = performance.now(); }, { passive: true });

  const drawLines = () => {
    for (const panel of panels.values()) {
      const slice = panel.slices[panel.at], group = slice.element.querySelector(".lines");
      group.replaceChildren();
      for (const other of panels.values()) {
        if (other === panel) continue;
        const ends = cut(slice.plane, other.slices[other.at].plane);
        if (!ends) continue;
        const line = document.createElementNS(SVG, "line");
        ["x1", "y1", "x2", "y2"].forEach((name, n) => line.setAttribute(name, ends[n >> 1][n & 1].toFixed(2)));
        group.append(line);
      }
    }
  };

  const show = (panel, number) => {
    const at = Math.max(0, Math.min(panel.slices.length - 1, number));
    panel.slices[panel.at].element.hidden = true;
    panel.slices[at].element.hidden = false;
    panel.at = at;
    panel.slider.value = at;
    panel.where.textContent = panel.slices[at].element.dataset.words;
    panel.slider.setAttribute("aria-valuetext", panel.where.textContent);
    drawLines();
  };

  // The slice of a panel that holds a place: the nearest of those that reach beside it.
  const nearest = (panel, point) => {
    let best = null, least = 1e9;
    panel.slices.forEach(({ plane }, n) => {
      const off = less(point, plane.corner), x = dot(off, plane.across), y = dot(off, plane.down);
      const beside = Math.max(0, -x, x - plane.size[0]) + Math.max(0, -y, y - plane.size[1]);
      const away = Math.abs(dot(off, plane.normal)) + beside;
      if (away < least) { least = away; best = n; }
    });
    return best;
  };

  const goTo = (panel, event) => {
    const slice = panel.slices[panel.at], box = slice.element.querySelector(".zoomed").getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * slice.plane.size[0];
    const y = (event.clientY - box.top) / box.height * slice.plane.size[1];
    const point = place(slice.plane, x, y);
    for (const other of panels.values()) if (other !== panel) show(other, nearest(other, point));
  };

  const setUp = (figure) => {
    const slices = all(".slice", figure).map((element) => ({ element, plane: planeOf(element) }));
    if (!slices.length) return;
    const stage = figure.querySelector(".stage"), slider = figure.querySelector(".scroller input");
    const panel = { slices, slider, where: figure.querySelector(".where"), at: Number(figure.dataset.start) };
    panels.set(figure.id, panel);
    for (const zoomed of all(".zoomed", figure)) zoomed.style.transformOrigin = figure.dataset.middle;
    slider.addEventListener("input", () => show(panel, Number(slider.value)));
    stage.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      show(panel, panel.at + step);
    });
    stage.addEventListener("wheel", (event) => {
      // A page that is being scrolled goes on past the picture.
      if (event.ctrlKey || performance.now() - lastScroll < 300 || !event.deltaY) return;
      const next = panel.at + Math.sign(event.deltaY);
      if (next < 0 || next >= slices.length) return;
      event.preventDefault();
      show(panel, next);
    }, { passive: false });
    stage.addEventListener("click", (event) => { stage.focus({ preventScroll: true }); goTo(panel, event); });
    const larger = figure.querySelector(".larger");
    larger.addEventListener("click", () => {
      larger.setAttribute("aria-pressed", String(figure.classList.toggle("large")));
    });
  };
  all(".panel").forEach(setUp);
  for (const panel of panels.values()) show(panel, panel.at);

  for (const link of all("a[data-panel]")) {
    link.addEventListener("click", () => {
      const panel = panels.get("series-" + link.dataset.panel);
      if (panel) show(panel, Number(link.dataset.slice));
    });
  }

  const root = document.documentElement.style;
  const sliders = [["brightness", "--b"], ["contrast", "--c"], ["zoom", "--z"]].map(([id, name]) => [document.getElementById(id), name]);
  const relight = () => { for (const [slider, name] of sliders) if (slider) root.setProperty(name, String(slider.value / 100)); };
  for (const [slider] of sliders) if (slider) slider.addEventListener("input", relight);
  const asItWas = document.getElementById("as-it-was");
  if (asItWas) asItWas.addEventListener("click", () => { for (const [slider] of sliders) slider.value = 100; relight(); });

  const dialog = document.getElementById("large"), pictures = all("[data-enlarge]");
  let enlarged = 0;
  const enlarge = (number) => {
    enlarged = (number + pictures.length) % pictures.length;
    const copy = pictures[enlarged].cloneNode(true);
    copy.removeAttribute("tabindex");
    dialog.querySelector(".frame").replaceChildren(copy);
    dialog.querySelector(".caption").textContent = copy.querySelector("img").alt;
    if (!dialog.open) dialog.showModal();
  };
  pictures.forEach((picture, number) => {
    picture.setAttribute("role", "button");
    picture.addEventListener("click", () => enlarge(number));
    picture.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); enlarge(number); } });
  });
  dialog.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined || Math.abs(step) > 1) return;
    event.preventDefault();
    enlarge(enlarged + step);
  });
  dialog.addEventListener("close", () => { if (pictures[enlarged]) pictures[enlarged].focus(); });
  document.body.classList.remove("no-script");
})();
