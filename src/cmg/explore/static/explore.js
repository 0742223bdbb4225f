"use strict";
// A clip's timeline: a cursor that moves with the player, and steps that seek by a click or a key.
(() => {
  const audio = document.querySelector("#player audio");
  const svg = document.querySelector("#timeline svg");
  if (!audio || !svg) return;
  const begins = Number(audio.dataset.begins || 0);
  const cells = [...svg.querySelectorAll("g[data-start]")].map((node) => ({
    node, start: Number(node.dataset.start), end: Number(node.dataset.end), box: node.getBBox(),
  }));
  if (!cells.length) return;
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  line.setAttribute("class", "cursor");
  svg.append(line);
  svg.setAttribute("role", "group"); // of a picture nothing inside can be reached
  // A clip that is a part of its file begins there, whether the browser went there yet or not.
  const time = () => Math.max(0, audio.currentTime + begins);
  const show = () => {
    const now = time();
    const here = cells.filter((cell) => cell.start <= now && now < cell.end);
    for (const cell of cells) cell.node.classList.toggle("now", here.includes(cell));
    line.style.display = here.length ? "" : "none";
    if (!here.length) return;
    const first = here[0];
    const x = first.box.x + first.box.width * (now - first.start) / (first.end - first.start);
    const tops = here.map((cell) => cell.box.y - 30);
    const ends = here.map((cell) => cell.box.y + cell.box.height);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    line.setAttribute("y1", Math.max(0, Math.min(...tops)));
    line.setAttribute("y2", Math.max(...ends));
  };
  const follow = () => {
    show();
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", follow);
  audio.addEventListener("seeked", show);
  audio.addEventListener("timeupdate", show);
  for (const cell of cells) {
    const seek = () => { audio.currentTime = cell.start - begins; };
    cell.node.setAttribute("role", "button");
    cell.node.setAttribute("tabindex", "0");
    cell.node.addEventListener("click", seek);
    cell.node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      seek();
    });
  }
  show();
})();
