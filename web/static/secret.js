// A secret on the page that shows it.
(() => {
  const d = document, all = (q, r = d) => r.querySelectorAll(q);

  // It is hidden after a while.
  for (const s of all("[data-hide-after]")) {
    setTimeout(() => {
      for (const o of all("output, pre", s)) o.textContent = "hidden";
      for (const b of all("[data-copy]", s)) b.remove();
      d.querySelector("#announce").textContent = "Secret hidden";
    }, s.dataset.hideAfter * 1000);
    delete s.dataset.hideAfter;
  }

  // What cannot be shown again is not left behind unseen, until it was copied.
  const copied = () => { for (const s of all("[data-once]")) delete s.dataset.once; };
  d.addEventListener("copy", copied);
  d.addEventListener("click", (e) => { if (e.target.closest("[data-once] [data-copy]")) copied(); });
  addEventListener("beforeunload", (e) => { if (d.querySelector("[data-once]")) e.preventDefault(); });
})();
