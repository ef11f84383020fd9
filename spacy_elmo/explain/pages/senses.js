(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const plot = document.querySelector(".plot"), list = document.querySelector(".lines");
  const slider = document.querySelector("#layer"), shown = document.querySelector("output");
  const note = document.querySelector(".explained"), head = document.querySelector(".lines-head p");
  const said = document.querySelector(".said");
  const clear = document.querySelector(".clear"), play = document.querySelector(".play");
  const lines = [...list.querySelectorAll(".line")];
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const options = { mode: "vega", renderer: "svg", actions: false, defaultStyle: false };
  const { view } = await vegaEmbed(plot, data.chart, options);
  let chosen = -1, moving = 0;

  const set = (name, value) => view.signal(name, value).runAsync();
  const light = (id) => {
    said.textContent = "";
    lines.forEach((line) => {
      const lit = +line.dataset.id === id;
      line.classList.toggle("lit", lit);
      if (lit) said.append(...line.querySelector(".text").cloneNode(true).childNodes);
    });
    set("focused", id);
  };

  // The lines, the nearest to the chosen one first; in the order of the texts where none is chosen.
  const order = () => {
    const layer = +slider.value;
    const cosines = chosen < 0 ? null : data.cosines[layer][chosen];
    const sorted = [...lines].sort((a, b) => {
      const [i, j] = [+a.dataset.id, +b.dataset.id];
      if (!cosines || cosines[i] === cosines[j]) return i - j;
      return i === chosen ? -1 : j === chosen ? 1 : cosines[j] - cosines[i];
    });
    const active = document.activeElement;
    sorted.forEach((line) => list.append(line.parentElement));
    if (lines.includes(active)) active.focus({ preventScroll: true });
    lines.forEach((line) => {
      const id = +line.dataset.id;
      line.setAttribute("aria-pressed", id === chosen);
      line.querySelector(".near").textContent = cosines && id !== chosen ? cosines[id].toFixed(2) : "";
    });
    head.textContent = cosines ? `Nearest first, by cosine in layer ${layer}` : "Choose a sentence to see its nearest";
    clear.hidden = !cosines;
    set("chosen", chosen);
  };

  const tell = () => {
    const layer = +slider.value;
    shown.textContent = `Layer ${layer}`;
    slider.setAttribute("aria-valuetext", `Layer ${layer}`);
    note.textContent = data.notes[layer];
  };
  const glide = (to) => {
    cancelAnimationFrame(moving);
    const from = view.signal("layer"), begin = performance.now(), lasts = 700 * Math.abs(to - from);
    if (still.matches || !lasts) return set("layer", to);
    const step = (now) => {
      const t = Math.min(1, Math.max(0, (now - begin) / lasts)), eased = t * t * (3 - 2 * t);
      set("layer", from + (to - from) * eased);
      if (t < 1) moving = requestAnimationFrame(step);
    };
    moving = requestAnimationFrame(step);
  };
  slider.addEventListener("input", () => { tell(); order(); glide(+slider.value); });
  play.addEventListener("click", () => {
    set("layer", 0);
    slider.value = slider.max; tell(); order(); glide(+slider.max);
  });

  const choose = (id) => { chosen = id; order(); };
  lines.forEach((line) => {
    const id = +line.dataset.id;
    line.addEventListener("mouseenter", () => light(id));
    line.addEventListener("mouseleave", () => light(-1));
    line.addEventListener("focus", () => light(id));
    line.addEventListener("blur", () => light(-1));
    line.addEventListener("click", () => choose(chosen === id ? -1 : id));
  });
  clear.addEventListener("click", () => choose(-1));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") choose(-1); });

  const at = (item) => (item && item.datum && item.datum.id !== undefined ? item.datum.id : -1);
  view.addEventListener("pointermove", (event, item) => light(at(item)));
  view.addEventListener("pointerout", () => light(-1));
  view.addEventListener("click", (event, item) => { if (at(item) >= 0) choose(at(item)); });

  const fit = () => {
    const side = plot.clientWidth;
    if (side) view.width(side - 2 * data.margin).height(side - 2 * data.margin).runAsync();
  };
  new ResizeObserver(fit).observe(plot);
  fit(); tell(); order();
})();
