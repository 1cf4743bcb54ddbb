// A private key stays in the browser, on the pages with a field that somebody may paste one into.
(() => {
  const d = document;
  const note = d.querySelector("[data-key-stop]"), secret = new RegExp(note.dataset.keyStop);
  const stop = (field) => {
    field.value = "";
    note.hidden = false; note.focus();
  };
  const check = async (e) => {
    const f = e.target, file = f.files?.[0];
    if (!f.matches("[data-key]") || f.dataset.clean) return;
    f.setCustomValidity(file?.size > 65536 ? "This is larger than 64 KiB, so it is no key." : "");
    if (!file) { if (secret.test(f.value)) { e.stopImmediatePropagation(); stop(f); } return; }
    e.stopImmediatePropagation();
    if (!f.checkValidity()) return f.reportValidity();
    if (secret.test(await file.text())) return stop(f);
    f.dataset.clean = 1;
    f.dispatchEvent(new Event("change", { bubbles: true }));
    delete f.dataset.clean;
  };
  d.addEventListener("input", check, true);
  d.addEventListener("change", check, true);
})();
