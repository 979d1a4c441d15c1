// The console without this file is complete; with it, pages stay true while they are read. What changed is fetched as
// the same page again and put in place node by node: nothing jumps, nothing is sorted anew under a reader's eyes.
"use strict";
(() => {
  const PACE_MS = 1500, RETRY_MS = 4000, AGES_MS = 10000, SILENCE_MS = 25000, ANSWER_MS = 15000;
  const $ = (selector) => document.querySelector(selector);

  // --- ages: every time on the page keeps its distance from now, by the server's clock
  let ahead = 0;
  const span = (s) => s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
  const age = (at) => {
    const seconds = Math.floor((Date.now() + ahead - at) / 1000);
    return seconds < 0 ? `in ${span(-seconds)}` : seconds < 10 ? "just now" : `${span(seconds)} ago`;
  };
  const ages = () => document.querySelectorAll("time[datetime]").forEach((time) => {
    const text = age(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  });

  // --- putting a page in place of itself
  const key = (node) => {
    if (node.nodeType !== 1) return "";
    const name = ["row", "rows", "part"].find((name) => node.dataset[name]);
    return name ? `${name} ${node.dataset[name]}` : node.id && `id ${node.id}`;
  };
  const looks = (row) => [...row.querySelectorAll(".badge, .state")].map((part) => part.textContent).join("|");
  const kept = (node, name) => (name === "open" && node.nodeName === "DETAILS") || (name === "hidden" && node.id === "pulse");
  const put = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== 1) { old.data = fresh.data; return; }
    // What somebody is typing is his.
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(old.nodeName)) {
      if (old.type === "hidden") old.value = fresh.value;
      return;
    }
    if (old.nodeName === "TIME") { old.dateTime = fresh.dateTime; old.title = fresh.title; old.textContent = age(Date.parse(fresh.dateTime)); return; }
    const before = old.dataset.row && looks(old);
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !kept(old, name)) old.setAttribute(name, value);
    children(old, fresh);
    if (before && before !== looks(old)) flash(old);
  };
  // What somebody has begun to write stays until he sends it; whether it still holds is asked of the registry then.
  const isWrittenIn = (node) => node.nodeType === 1 && !node.closest("form.filters") &&
    [...node.querySelectorAll("input[name=comment], input[name=reason]")].some((field) => field.value !== field.defaultValue);
  const flash = (row) => { row.classList.remove("changed"); void row.offsetWidth; row.classList.add("changed"); };
  const children = (old, fresh) => {
    const known = new Map(), loose = [];
    for (const node of old.childNodes) key(node) && !known.has(key(node)) ? known.set(key(node), node) : loose.push(node);
    let last = null;
    for (const node of [...fresh.childNodes]) {
      let was;
      if (known.has(key(node))) { was = known.get(key(node)); known.delete(key(node)); }
      else if (!key(node)) {
        const at = loose.findIndex((other) => other.nodeName === node.nodeName);
        if (at >= 0) [was] = loose.splice(at, 1);
      }
      // A form that does something else by now is another form: a button is not changed under a finger.
      const other = was && was.nodeName === "FORM" && was.getAttribute("action") !== node.getAttribute("action");
      if (other && isWrittenIn(was)) { last = was; continue; }
      if (was && !other && was.nodeName === node.nodeName) { put(was, node); last = was; continue; }
      if (was) was.remove();
      const added = document.importNode(node, true);
      last ? last.after(added) : old.prepend(added);
      if (added.nodeType === 1 && added.dataset.row) flash(added);
      last = added;
    }
    for (const node of [...known.values(), ...loose]) if (!isWrittenIn(node)) node.remove();
    if (old.nodeType === 1 && old.dataset.rows !== undefined) {
      const order = (parent) => [...parent.children].map(key).join("\n");
      if (order(old) !== order(fresh)) disordered();
    }
  };
  const disordered = () => {
    if ($(".order")) return;
    const bar = document.createElement("div"), button = document.createElement("button");
    bar.className = "order";
    bar.id = "order";
    bar.setAttribute("role", "status");
    bar.append("The order has changed meanwhile.", button);
    button.textContent = "Sort again";
    button.type = "button";
    button.addEventListener("click", () => location.reload());
    document.body.append(bar);
  };

  // --- fetching it
  let fetching = false, wanted = false, fetched = Date.now(), timer = 0, source = null;
  const refresh = async (address = location.href) => {
    if (fetching || (document.hidden && address === location.href)) { wanted = true; return; }
    fetching = true;
    wanted = false;
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const answer = await fetch(address, { headers: { accept: "text/html" }, credentials: "same-origin", signal });
      if (answer.redirected || answer.status === 401 || answer.status === 403) { location.reload(); return; }
      const date = Date.parse(answer.headers.get("date") || "");
      if (date && Math.abs(date - Date.now()) > 2000) ahead = date - Date.now();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok || answer.status === 404) {
        for (const part of ["main", "footer", ".top nav", ".who"]) {
          const [old, fresh] = [$(part), page.querySelector(part)];
          if (old && fresh) put(old, fresh);
        }
        // From where to hear of changes, should it be asked again.
        if (page.body.dataset.live) document.body.dataset.live = page.body.dataset.live;
      }
      if (source && source.readyState === EventSource.OPEN) say(true);
    } catch {
      say(false);
      setTimeout(() => refresh(), RETRY_MS);
    } finally {
      fetching = false;
      fetched = Date.now();
      if (wanted && !document.hidden) soon();
    }
  };
  const soon = () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; refresh(); }, Math.max(0, fetched + PACE_MS - Date.now()));
  };

  // --- hearing of changes
  const pulse = $("#pulse");
  const say = (alive) => {
    if (!pulse) return;
    pulse.hidden = false;
    pulse.classList.toggle("broken", !alive);
    const text = alive ? "Live" : "Connection lost, trying again";
    if (pulse.lastElementChild.textContent !== text) pulse.lastElementChild.textContent = text;
  };
  // A page that nobody looks at hears of nothing: browsers keep few connections to one address, and other pages want theirs.
  const listen = () => {
    const address = document.body.dataset.live;
    if (!address || source || document.hidden) return;
    let lost = false;
    const own = source = new EventSource(address);
    heard = Date.now();
    own.addEventListener("open", () => { heard = Date.now(); say(true); if (lost) { lost = false; soon(); } });
    own.addEventListener("changed", () => { heard = Date.now(); soon(); });
    own.addEventListener("alive", () => { heard = Date.now(); say(true); });
    own.addEventListener("error", () => {
      if (source !== own) return;
      lost = true;
      say(false);
      if (own.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(() => { listen(); refresh(); }, RETRY_MS);
      }
    });
  };
  // A connection can die without a word, as when a laptop sleeps: then another one is tried.
  let heard = Date.now();
  setInterval(() => {
    if (!source || document.hidden || Date.now() - heard < SILENCE_MS) return;
    say(false);
    hush();
    listen();
    refresh();
  }, RETRY_MS);
  const hush = () => { if (source) source.close(); source = null; };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { hush(); return; }
    listen();
    refresh();
  });
  addEventListener("pagehide", hush);
  listen();
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // --- filters act at once, and leave addresses without empty questions
  // With arrow keys one passes over choices that one does not mean: there the button applies them.
  let keyed = false;
  addEventListener("pointerdown", () => { keyed = false; }, true);
  addEventListener("keydown", () => { keyed = true; }, true);
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form.filters");
    if (form && event.target.matches("select") && !keyed) form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form.filters")) return;
    for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
  });
  // --- opening a pool stays where one is
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a.toggle");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    history.replaceState(null, "", link.href);
    await refresh(link.href);
  });
  setInterval(ages, AGES_MS);
})();
