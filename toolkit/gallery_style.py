"""Style sheet and script of the gallery: plain CSS and JavaScript, no library.

The script sets text with `textContent` only, so nothing from a file becomes markup.
"""

STYLE = """
.legend{display:block;border-radius:8px;margin:0 0 14px}
.filters{display:flex;flex-wrap:wrap;gap:10px 14px;align-items:end;padding:12px 0;
position:sticky;top:0;background:var(--paper);z-index:2}
.filters label{display:grid;font-size:12.5px;color:var(--soft);gap:2px;min-width:0}
.filters select,.filters input,.filters button,dialog button{font:inherit;color:var(--ink);
background:var(--card);border:1px solid var(--edge);border-radius:7px;padding:6px 9px;
max-width:230px;min-width:0}
.filters button,dialog button{cursor:pointer}
.filters output{color:var(--soft);padding:6px 0}
:focus-visible{outline:3px solid var(--info);outline-offset:2px}
.cards{display:grid;gap:18px;padding-bottom:40px;
grid-template-columns:repeat(auto-fill,minmax(min(440px,100%),1fr))}
.cards figure{margin:0;background:var(--card);border:1px solid var(--edge);
border-radius:10px;overflow:hidden;align-self:start}
.cards figure[hidden]{display:none}
.picture{display:block;position:relative;width:100%;padding:0;border:0;background:none;
cursor:zoom-in}
.picture img{display:block;width:100%;height:auto}
.hit{position:absolute;border:3px solid #ff3b6b;border-radius:3px;box-shadow:0 0 0 1px #fff}
figcaption{padding:8px 12px 10px;overflow-wrap:anywhere}
figcaption span{display:block;color:var(--soft);font-size:13px}
figcaption .found{color:var(--ink)}
dialog{border:0;padding:0;width:100vw;height:100vh;max-width:none;max-height:none;
background:var(--paper);color:var(--ink)}
dialog[open]{display:flex;flex-direction:column}
dialog .bar{display:flex;gap:8px;align-items:center;padding:8px 12px}
dialog .bar span{flex:1;overflow-wrap:anywhere;font-size:14px}
.stage{flex:1;min-height:0;display:grid;place-items:center;overflow:auto}
.stage img{max-width:100%;max-height:100%;object-fit:contain;display:block}
@media (max-width:600px){.filters{position:static}.filters label{flex:1 1 44%}
.filters select,.filters input{max-width:none;width:100%}}
"""

SCRIPT = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const cards = [...document.querySelectorAll(".cards figure")];
const byId = (id) => document.getElementById(id);
const picked = (id) => {
  const field = byId(id);
  return field && field.value !== "" ? Number(field.value) : -1;
};

function broken(card, person, rule) {
  return rule < 0 || card.r.includes(rule) || person[2].includes(rule);
}

// The keypoints of a person that a filter asks for: named, in the stratum, or both.
function keypointsOf(person, keypoint, stratum) {
  const found = [];
  for (let k = 0; k < person[3].length; k++) {
    const bits = parseInt(person[3][k], 32);
    if (keypoint >= 0 && k !== keypoint) continue;
    if (stratum >= 0 ? bits >> stratum & 1 : bits > 0) found.push(k);
  }
  return found;
}

function say(card, hits, wish) {
  if (!wish.any) return "";
  return hits.slice(0, 12).map((hit) => {
    const ofImage = card.r.filter((r) => r === wish.rule);
    const rules = [...ofImage, ...hit.person[2]].map((r) => data.rules[r]);
    const points = wish.keypoint >= 0 || wish.stratum >= 0
      ? hit.points.slice(0, 6).map((k) => data.keypoints[k]).join(", ") : "";
    return "#" + hit.person[0] + [points, rules.join(", ")]
      .filter((text) => text).map((text) => " " + text).join(";");
  }).join(" | ") + (hits.length > 12 ? " | and " + (hits.length - 12) + " more" : "");
}

function frame(figure, hits) {
  const picture = figure.querySelector(".picture");
  picture.querySelectorAll(".hit").forEach((old) => old.remove());
  for (const hit of hits) {
    if (!hit.person[1]) continue;
    const mark = document.createElement("span");
    mark.className = "hit";
    const sides = ["left", "top", "width", "height"];
    sides.forEach((side, i) => { mark.style[side] = hit.person[1][i] + "%"; });
    picture.append(mark);
  }
}

function apply() {
  const wish = {rule: picked("rule"), keypoint: picked("keypoint"),
                stratum: picked("stratum"), clip: picked("clip")};
  const text = byId("name").value.trim().toLowerCase();
  wish.any = wish.rule >= 0 || wish.keypoint >= 0 || wish.stratum >= 0;
  let images = 0, people = 0;
  cards.forEach((figure, n) => {
    const card = data.cards[n];
    const hits = card.p.filter((person) => broken(card, person, wish.rule))
      .map((person) => ({person, points: keypointsOf(person, wish.keypoint, wish.stratum)}))
      .filter((hit) => hit.points.length || (wish.keypoint < 0 && wish.stratum < 0));
    const bare = wish.keypoint < 0 && wish.stratum < 0
      && (wish.rule < 0 || card.r.includes(wish.rule));
    const shown = (hits.length > 0 || bare) && (wish.clip < 0 || card.c === wish.clip)
      && card.f.toLowerCase().includes(text);
    figure.hidden = !shown;
    frame(figure, wish.any && shown ? hits : []);
    figure.querySelector(".found").textContent = shown ? say(card, hits, wish) : "";
    if (shown) { images += 1; people += hits.length; }
  });
  byId("shown").textContent = images + " of " + cards.length + " pictures, " + people
    + (people === 1 ? " person" : " people");
}

let at = -1;
function open(n) {
  at = n;
  const image = cards[n].querySelector("img");
  byId("large-image").src = image.src;
  byId("large-image").alt = image.alt;
  byId("large-name").textContent = [...cards[n].querySelector("figcaption").children]
    .map((part) => part.textContent).filter((text) => text).join(" · ");
  if (!byId("large").open) byId("large").showModal();
}
function step(by) {
  for (let n = at + by; n >= 0 && n < cards.length; n += by) {
    if (!cards[n].hidden) { open(n); return; }
  }
}

cards.forEach((figure, n) => {
  figure.querySelector(".picture").addEventListener("click", () => open(n));
});
byId("before").addEventListener("click", () => step(-1));
byId("after").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => byId("large").close());
byId("large").addEventListener("close", () => {
  if (at >= 0) cards[at].querySelector(".picture").focus();
});
byId("large").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
if (byId("filters")) {
  byId("filters").addEventListener("input", apply);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(apply, 0));
  apply();
}
"""
