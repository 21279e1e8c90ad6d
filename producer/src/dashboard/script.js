// Keeps times going, swaps what the server says has changed, and listens to keys. Every page works without it.
"use strict";
(() => {
  const skew = Number(document.body.dataset.now) - Date.now();
  const relative = (moment) => {
    const ms = moment - (Date.now() + skew), seconds = Math.floor(Math.abs(ms) / 1000);
    const [number, unit] = seconds < 60 ? [seconds, "s"] : seconds < 3600 ? [Math.floor(seconds / 60), "min"]
      : seconds < 86400 ? [Math.floor(seconds / 3600), "h"] : [Math.floor(seconds / 86400), "d"];
    return number === 0 ? "now" : ms > 0 ? `in ${number} ${unit}` : `${number} ${unit} ago`;
  };
  const tick = () => {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const text = relative(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tick, 1000);

  // Makes `old` look like `fresh` and keeps the nodes themselves, so that focus, scroll and open details stay.
  const kept = new Set(["INPUT", "SELECT", "TEXTAREA"]);
  const morph = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.id || "") !== (fresh.id || "")) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE || stands(old, fresh)) return;
    for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    if (!kept.has(old.nodeName)) children(old, fresh);
  };
  // An open question stays as the person read it, and says when it no longer holds. Closed, it becomes what it would say now.
  const said = (question) => [...question.querySelectorAll("form.ask > div, form.ask > [type=hidden]")].map((part) => part.value ?? part.textContent).join();
  const newer = new WeakMap();
  const stands = (old, fresh) => {
    const form = old.nodeName === "DETAILS" && old.open && old.querySelector("form.ask");
    if (!form) return false;
    newer.set(old, fresh);
    const note = old.querySelector(".changed");
    if (said(old) === said(fresh)) note?.remove();
    else if (!note) {
      const text = document.createElement("p");
      text.className = "notice warn changed";
      text.setAttribute("role", "alert");
      text.textContent = "This has changed since you opened it. Close it and open it again to see it as it is now.";
      form.prepend(text);
    }
    return true;
  };
  document.addEventListener("toggle", (event) => {
    const fresh = !event.target.open && newer.get(event.target);
    if (!fresh) return;
    newer.delete(event.target);
    event.target.querySelector(".changed")?.remove();
    morph(event.target, fresh);
  }, true);
  const children = (old, fresh) => {
    // Rows with an id move as a whole: a new one on top does not make all others change.
    const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    const wanted = [...fresh.childNodes];
    let at = old.firstChild;
    for (const node of wanted) {
      const same = node.id && named.get(node.id);
      if (same && same !== at) old.insertBefore(same, at);
      else if (!same && at?.id) { old.insertBefore(node, at); continue; }
      const current = same || at;
      if (!current) { old.appendChild(node); continue; }
      at = current.nextSibling;
      morph(current, node);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  };

  let paused = false, waiting = 0, held = [];
  const swap = (fragments) => {
    for (const { id, html } of fragments) {
      const old = document.getElementById(id);
      if (!old) continue;
      const template = document.createElement("template");
      template.innerHTML = html;
      morph(old, template.content.firstElementChild);
    }
    tick();
  };
  const state = document.getElementById("live");
  const show = (value, text) => { if (state) { state.dataset.state = value; state.textContent = text; } };
  if (document.querySelector("[data-live]") && window.EventSource) {
    let stream;
    const open = () => {
      stream = new EventSource("/live?page=" + encodeURIComponent(location.pathname + location.search));
      stream.onopen = () => show(paused ? "off" : "on", paused ? "paused" : "live");
      stream.onerror = () => show("off", "reconnecting");
      stream.addEventListener("changed", (event) => {
        const fragments = JSON.parse(event.data);
        if (!paused) return swap(fragments);
        held.push(...fragments);
        waiting += 1;
        show("off", `paused, ${waiting} waiting`);
      });
    };
    open();
    // A page that nobody sees asks for nothing.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) stream.close(); else if (stream.readyState === EventSource.CLOSED) open();
    });
    window.addEventListener("pagehide", () => stream.close());
    const pause = () => {
      paused = !paused;
      if (!paused) { swap(held); held = []; waiting = 0; }
      show(paused ? "off" : "on", paused ? "paused" : "live");
    };
    if (state) {
      state.setAttribute("role", "button");
      state.tabIndex = 0;
      state.title = "Pause or resume live updates (p)";
      state.addEventListener("click", pause);
      state.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pause(); } });
      document.addEventListener("tideline:pause", pause);
    }
  }

  const help = document.getElementById("keys");
  let leader = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (Date.now() - leader < 1500) {
      leader = 0;
      const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    if (event.key === "g") leader = Date.now();
    else if (event.key === "?") help?.showModal();
    else if (event.key === "p") document.dispatchEvent(new Event("tideline:pause"));
    else if (event.key === "/") {
      event.preventDefault();
      const search = document.querySelector("main input[type=search]");
      if (search) { search.focus(); search.select(); } else location.href = "/catalog#search";
    }
  });
  document.querySelector(".bar nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (location.hash === "#search") document.querySelector("main input[type=search]")?.focus();

  document.addEventListener("change", (event) => {
    const all = event.target.closest("[data-all]");
    if (!all) return;
    for (const box of document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(all.dataset.all)}"]`)) box.checked = all.checked;
  });

  document.addEventListener("click", (event) => {
    const copy = event.target.closest("[data-copy]");
    if (!copy) return;
    navigator.clipboard?.writeText(copy.dataset.copy).then(() => {
      const text = copy.textContent;
      copy.textContent = "copied";
      setTimeout(() => { copy.textContent = text; }, 1200);
    });
  });
})();
