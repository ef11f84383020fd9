(() => {
  const { clozes, chosen } = JSON.parse(document.getElementById("data").textContent);
  const words = [...document.querySelectorAll(".word")], place = document.getElementById("place");
  const lists = [...document.querySelectorAll(".columns ol")];

  const item = ([word, p], largest, actual) => {
    const line = document.createElement("li"), name = document.createElement("span"), share = document.createElement("span");
    line.style.setProperty("--w", p / largest);
    name.textContent = word;
    if (word === actual) name.className = "actual";
    share.className = "p";
    share.textContent = `${(100 * p).toFixed(1)}%`;
    line.append(name, share);
    return line;
  };
  const choose = (id) => {
    words.forEach((word) => word.setAttribute("aria-pressed", +word.dataset.id === id));
    const word = words[id], actual = word.firstChild.textContent, bits = document.createElement("span");
    bits.textContent = ` · ${word.dataset.bits} bits`;
    place.replaceChildren(`“${actual}”`, bits);
    lists.forEach((list) => {
      const likely = clozes[id][list.dataset.key];
      list.replaceChildren(...likely.map((one) => item(one, likely[0][1], actual)));
    });
  };
  words.forEach((word) => word.addEventListener("click", () => choose(+word.dataset.id)));
  document.querySelector(".ribbons").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key], at = words.indexOf(document.activeElement);
    if (step && words[at + step]) { words[at + step].focus(); choose(at + step); event.preventDefault(); }
  });
  if (words.length) choose(chosen);
})();
