// The counter page: a view of the daemon's ledger, rebuilt from the server at any time (F31). It keeps no money state.
// The one thing it remembers is the key of a press whose answer has not come, so that the same press is never two (F27).
"use strict";

const LANGUAGES = [["kk", "Қаз"], ["ru", "Рус"], ["en", "Eng"]];
const LIVE = ["planned", "sent", "waiting", "unresolved"];
const REFRESH_MS = 15000;
const DEBOUNCE_MS = 120;
const LIMIT_MS = 12000;
const THIN = "\u202f";

const view = {
  lang: localStorage.getItem("lang") || "", words: {},
  status: null, orders: null, payments: [], jobs: [], order: null,
  chosen: decodeURIComponent(location.hash.slice(1)), search: "", step: "", phone: "", amount: "", tendered: "", busy: "",
  allQuestions: false, offline: false, ordersAway: false, fetched: {}, drawn: {},
};

// ---- words, sums, elements

const at = (id) => document.getElementById(id);
const word = (code, args) => {
  const text = view.words[code];
  return text === undefined ? code : text.replace(/\{(\w+)\}/g, (_, name) => (args && name in args ? args[name] : "…"));
};

/** An amount of the API (whole tenge, or a decimal text) as tiyn. */
function tiyn(amount) {
  const found = /^(-?)(\d+)(?:\.(\d{1,2}))?$/.exec(String(amount ?? 0));
  if (!found) return 0;
  const sum = Number(found[2]) * 100 + Number((found[3] || "").padEnd(2, "0"));
  return found[1] ? -sum : sum;
}

const sum = (amount) => written(tiyn(amount));

function written(value) {
  const whole = Math.floor(Math.abs(value) / 100), rest = Math.abs(value) % 100;
  const grouped = String(whole).replace(/\B(?=(\d{3})+$)/g, THIN);
  return (value < 0 ? "−" : "") + grouped + (rest ? "," + String(rest).padStart(2, "0") : "");
}

const money = (amount) => sum(amount) + THIN + "₸";

/** Makes an element; texts are never parsed as markup. */
function make(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Redraws a place only when what it shows has changed: a tap never lands on an element that was just replaced. */
function draw(place, shows, build) {
  const text = JSON.stringify([view.lang, shows]);
  if (view.drawn[place] === text) return;
  view.drawn[place] = text;
  const element = at(place), top = [...element.querySelectorAll(".lines")].map((lines) => lines.scrollTop);
  const scrolled = element.scrollTop;
  element.replaceChildren(...[build()].flat().filter(Boolean));
  element.scrollTop = scrolled;
  element.querySelectorAll(".lines").forEach((lines, index) => { lines.scrollTop = top[index] || 0; });
}

// ---- the server

async function call(method, path, body, headers) {
  const stop = new AbortController(), timer = setTimeout(() => stop.abort(), LIMIT_MS);
  try {
    const reply = await fetch(path, {
      method, signal: stop.signal, cache: "no-store",
      headers: { Accept: "application/json", "Accept-Language": view.lang || "ru", ...(body && { "Content-Type": "application/json" }), ...(method === "POST" && { "X-Kassad": "1" }), ...headers },
      body: body && JSON.stringify(body),
    });
    const json = await reply.json().catch(() => null);
    // From the LAN without a key: what is on the screen stays, the door stands before it.
    if (reply.status === 401) closeDoor(json && json.code === "no_pin" ? json.title : "");
    if (reply.status === 421) closeDoor(json && json.title);
    if (!reply.ok) throw Object.assign(new Error((json && (json.title || json.detail)) || String(reply.status)), { status: reply.status, wait: Number(reply.headers.get("Retry-After")) });
    return json || {};
  } finally {
    clearTimeout(timer);
  }
}

const SOURCES = {
  status: async () => { view.status = await call("GET", `/api/v1/status?lang=${view.lang}`); },
  payments: async () => { view.payments = (await call("GET", `/api/v1/payments?limit=50&lang=${view.lang}`)).payments || []; },
  jobs: async () => { view.jobs = (await call("GET", `/api/v1/jobs?lang=${view.lang}`)).jobs || []; },
  orders: async () => {
    view.orders = (await call("GET", "/api/v1/orders")).orders || [];
    view.ordersAway = false;
  },
  order: async () => {
    const chosen = view.chosen;
    if (!chosen) { view.order = null; return; }
    try {
      const order = await call("GET", `/api/v1/orders/${encodeURIComponent(chosen)}`);
      if (view.chosen === chosen) view.order = order;
    } catch (error) {
      // A closed order leaves the list; its panel stays until the cashier goes on.
      if (!error.status) throw error;
    }
  },
};

const asked = new Set();
let running = null;

function refresh(...names) {
  (names.length ? names : Object.keys(SOURCES)).forEach((name) => asked.add(name));
  running ||= new Promise((done) => setTimeout(done, DEBOUNCE_MS)).then(fetchAsked);
}

async function fetchAsked() {
  const names = [...asked];
  asked.clear();
  const results = await Promise.allSettled(names.map((name) => SOURCES[name]()));
  results.forEach((result, index) => {
    if (result.status === "fulfilled") view.fetched[names[index]] = performance.now();
    else if (names[index] === "orders" && result.reason.status && !door.open) view.ordersAway = true;
  });
  const lost = results.some((result) => result.status === "rejected" && !result.reason.status);
  const came = results.some((result) => result.status === "fulfilled");
  if (lost || came) view.offline = lost && !came;
  running = null;
  drawAll();
  if (asked.size) refresh(...asked);
}

let stream = null;

function listen() {
  const events = stream = new EventSource("/api/v1/events");
  events.addEventListener("open", () => refresh());
  events.addEventListener("change", (event) => {
    let change = {};
    try { change = JSON.parse(event.data); } catch { /* an unreadable change refreshes everything */ }
    const kind = String(change.kind || "");
    if (kind.startsWith("device")) refresh("status");
    else if (kind.startsWith("job") || kind.startsWith("print")) refresh("jobs", "payments", "status");
    else if (kind.startsWith("order")) refresh("orders", "order");
    else refresh();
  });
  // The browser reconnects by itself; only an event stream refused for good is opened again by us.
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED && events === stream && !door.open) setTimeout(() => { if (events === stream && !door.open) listen(); }, 3000);
    refresh("status");
  });
}

// ---- presses

/** The key of one press: the same until the server has answered, also over a reload. */
function pressKey(content) {
  const name = `press:${JSON.stringify(content)}`;
  let key = sessionStorage.getItem(name);
  if (!key) {
    key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(name, key);
  }
  return { key, answered: () => sessionStorage.removeItem(name) };
}

async function act(name, action) {
  if (view.busy) return false;
  view.busy = name;
  drawAll();
  try {
    await action();
    return true;
  } catch (error) {
    toast(error.status ? word("page.error", { detail: error.message }) : word("page.lost_press"));
    return false;
  } finally {
    view.busy = "";
    refresh();
    drawAll();
  }
}

/** What this press asks for, in tiyn: the part that was typed, or all that is left. */
function wanted(rest) {
  const typed = tiyn(view.amount || 0);
  return typed > 0 ? typed : rest;
}

const decimal = (value) => (value % 100 ? `${Math.floor(value / 100)}.${String(value % 100).padStart(2, "0")}` : Math.floor(value / 100));

function collect(order, tender) {
  // The order as the cashier sees it: one that has changed meanwhile is refused, and shown anew.
  const body = { order_id: order.order_id, tender, due: order.due };
  if (tiyn(view.amount || 0) > 0) body.amount = decimal(tiyn(view.amount));
  if (tender === "cash" && tiyn(view.tendered || 0) > 0) body.tendered = decimal(tiyn(view.tendered));
  if (tender === "kaspi_invoice") body.phone = "7" + view.phone;
  // One key until the server has answered: the same press is the same payment, whatever the page has learnt meanwhile.
  const press = pressKey({ ...body, due: undefined });
  return act(tender, async () => {
    try {
      const payment = await call("POST", "/api/v1/payments", body, { "Idempotency-Key": press.key });
      press.answered();
      if (view.order && view.order.order_id === order.order_id) view.order = { ...view.order, payment };
      Object.assign(view, { step: "", phone: "", amount: "", tendered: "" });
    } catch (error) {
      if (error.status && error.status < 500) press.answered();
      throw error;
    }
  });
}

function choose(id) {
  if (view.chosen === id) return;
  Object.assign(view, { chosen: id, step: "", phone: "", amount: "", tendered: "" });
  view.order = (view.orders || []).find((order) => order.order_id === id) || null;
  history.replaceState(null, "", id ? `#${encodeURIComponent(id)}` : location.pathname);
  drawAll();
  refresh("order");
}

let toastTimer = 0;
function toast(text) {
  at("toast").textContent = text;
  at("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { at("toast").hidden = true; }, 7000);
}

// ---- the bar, the red line, the notices

function drawBar() {
  const status = view.status || { devices: [] };
  at("shop").textContent = status.shop || "";
  document.title = status.shop || word("page.title");
  draw("devices", [status.devices, view.offline], () => {
    if (view.offline) return make("span", { class: "chip look" }, word("page.offline"));
    return (status.devices || []).map((device) => {
      const look = { up: "good", busy: "good", unknown: "" }[device.state] ?? "look";
      const text = device.text || word(`device.${device.state}`);
      const shown = look === "look" ? `${device.name}: ${text}` : device.name;
      // A printer can be tried out by whoever stands before it.
      if (device.role === "printer") return make("button", { class: `chip ${look}`, title: text, onclick: () => tryPrinter(device.name) }, shown);
      // A test register says so for ever: its receipts are no receipts.
      if (device.role === "fiscal") return make("button", { class: `chip ${device.text ? "look" : look}`, title: text, onclick: register }, device.text ? `${device.name}: ${text}` : shown);
      // Without the way in everything still works: grey, and the sentence for whoever asks.
      if (device.role === "tunnel") return make("button", { class: `chip way ${device.state === "up" ? "good" : ""}`, title: text, onclick: () => toast(text) }, word("page.tunnel"));
      return make("span", { class: `chip ${look}`, title: text }, shown);
    });
  });
  draw("languages", view.lang, () => LANGUAGES.map(([lang, title]) =>
    make("button", { "aria-pressed": String(lang === view.lang), onclick: () => speak(lang) }, title)));
}

const isUnclear = (question) => (question.choices || []).some((choice) => choice === "paid" || choice === "returned");

/** Paid and without a fiscal receipt is as unclear as money can be. */
const isRed = (question) => isUnclear(question) || String(question.code).startsWith("fiscal_");

function drawQuestions() {
  const questions = (view.status && view.status.questions) || [];
  const unclear = questions.filter(isRed), rest = questions.filter((question) => !isRed(question));
  at("unclear").hidden = !unclear.length;
  draw("unclear", [unclear.map(({ since_s: _, ...question }) => question), view.allQuestions], () =>
    (view.allQuestions ? unclear : unclear.slice(0, 1)).map((question, index) => make("div", { class: "row" },
      make("span", { class: "what" }, question.text || word("page.money_unclear")),
      isUnclear(question) && make("span", { class: "which" }, ordered(question), money(question.amount)),
      index === 0 && unclear.length > 1 && make("button", { class: "more", onclick: () => { view.allQuestions = !view.allQuestions; drawAll(); } },
        view.allQuestions ? word("page.close") : word("page.and_more", { count: unclear.length - 1 })),
      question.document && make("button", { disabled: !!view.busy, onclick: () => act("retry", () =>
        call("POST", `/api/v1/fiscal/${encodeURIComponent(question.document)}/retry`, {})) }, word("page.retry")),
      make("button", { onclick: () => answer(question) }, word("page.answer")))));
  draw("notices", rest.map(({ since_s: _, ...question }) => question), () => rest.map((question) => make("div", { class: "notice" },
    make("span", {}, question.text), make("b", {}, ordered(question), question.amount ? money(question.amount) : ""),
    question.code === "print_old" && question.job && make("button", { disabled: !!view.busy, onclick: () => act("retry", () =>
      call("POST", `/api/v1/jobs/${encodeURIComponent(question.job)}/retry`, {})) }, word("page.print_it")),
    make("button", { onclick: () => answer(question) }, word(question.code === "print_old" ? "page.not_needed" : "page.answer")))));
}

const ordered = (question) => (question.order_number ? `№${THIN}${question.order_number} · ` : "");

// ---- orders

function found(order) {
  const wanted = view.search.trim().toLowerCase();
  return !wanted || [order.number, order.table, order.waiter].some((text) => String(text || "").toLowerCase().includes(wanted));
}

const tableName = (order) => (order.table ? word("page.table", { table: order.table }) : "");

function drawOrders() {
  at("orders-title").textContent = word("page.orders") + (view.orders ? ` · ${view.orders.length}` : "");
  at("search").placeholder = word("page.search");
  at("search").setAttribute("aria-label", word("page.search"));
  const orders = (view.orders || []).filter(found);
  const shown = orders.map(({ order_id, number, table, waiter, due, paid, payment }) =>
    [order_id, number, table, waiter, due, paidOf({ order_id, paid }), payment && payment.state]);
  draw("orders", [shown, view.chosen, view.ordersAway, view.search === ""], () => {
    const list = orders.map((order) => {
      const payment = order.payment, state = payment && payment.state;
      return make("button", { class: "order", "aria-current": String(order.order_id === view.chosen), onclick: () => choose(order.order_id) },
        make("span", { class: "name" }, `№${THIN}${order.number}`),
        make("span", { class: "sum" }, written(Math.max(0, tiyn(order.due) - paidOf(order))) + THIN + "₸"),
        make("span", { class: "who" }, [tableName(order), order.waiter].filter(Boolean).join(" · ")),
        state && make("span", { class: `mark ${state === "paid" ? "good" : ""}` }, word(`state.${state}`)));
    });
    if (view.ordersAway) list.unshift(make("div", { class: "note" }, word("page.orders_away")));
    if (!orders.length) list.push(make("div", { class: "empty" }, word(view.search ? "page.nothing_found" : "page.no_orders")));
    return list;
  });
}

// ---- the panel

/** An order that the POS no longer lists, as its payment tells it. */
function orderOfPayment(id) {
  const payment = view.payments.find((one) => one.order_id === id);
  return payment && { order_id: id, number: payment.order_number, table: payment.table, due: payment.amount, paid: payment.amount_paid || 0 };
}

/** What is paid of an order in tiyn: a POS that is away, or has closed the order, must not make a paid order look open. */
function paidOf(order) {
  const of = view.payments.filter((one) => one.order_id === order.order_id);
  return of.length ? Math.max(...of.map((one) => tiyn(one.order_paid))) : tiyn(order.paid);
}

function drawPanel() {
  const order = view.order || (view.fetched.orders && orderOfPayment(view.chosen));
  if (!view.chosen || !order) {
    draw("panel", "none", () => make("div", { class: "hollow" }, make("b", {}, word("page.choose")), word("page.choose_hint")));
    return;
  }
  const payment = paymentOf(order);
  const { age_s: _, ...steady } = payment || {};
  const paid = paidOf(order);
  draw("panel", [order.order_id, order.number, order.due, paid, order.lines, steady, view.step, view.step === "part" ? "" : view.amount, view.busy], () => {
    const rest = tiyn(order.due) - paid;
    return [
      make("div", { class: "head" }, make("div", {}, make("h1", {}, word("page.order", { number: order.number })),
        make("div", { class: "who" }, [tableName(order), order.waiter].filter(Boolean).join(" · "))),
        make("button", { class: "plain", "aria-label": word("page.close"), onclick: () => choose("") }, "✕")),
      dishes(order),
      make("div", { class: "total" }, make("span", { class: "label" }, word("page.due"),
        paid > 0 && make("div", {}, word("page.paid_part", { paid: written(paid) }))),
        make("span", { class: "due" }, written(Math.max(rest, 0)) + THIN + "₸")),
      ...actions(order, payment, rest),
    ];
  });
  if (view.step === "phone") fitPhone();
}

/** The newest word about the order's payment: the list of payments is fetched more often than the order. */
function paymentOf(order) {
  const own = order.payment;
  const listed = view.payments.find((payment) => (own ? payment.id === own.id : payment.order_id === order.order_id));
  return listed || own || null;
}

function dishes(order) {
  return make("div", { class: "lines" }, (order.lines || []).map((line) => make("div", { class: "dish" },
    make("span", { class: "quantity" }, `${line.quantity}${THIN}×`),
    make("span", {}, line.name, (line.modifiers || []).length ? make("small", {}, line.modifiers.join(", ")) : null),
    make("span", {}, sum(line.sum)))));
}

function actions(order, payment, rest) {
  const state = payment && payment.state;
  if (state === "unresolved") {
    const question = payment.question || ((view.status && view.status.questions) || []).find((one) => one.payment === payment.id);
    return [make("div", { class: "live wait" }, make("span", { class: "stop" }, "!"),
      make("div", { class: "text" }, (question && question.text) || word("state.unresolved")), timer(payment)),
    question && make("button", { class: "tender wide", onclick: () => answer(question) }, word("page.answer"))];
  }
  if (LIVE.includes(state)) return [waiting(payment)];
  const paid = state === "paid" && rest <= 0;
  if (paid) {
    return [make("div", { class: "live" }, make("span", { class: "tick" }, "✓"),
      make("div", { class: "text" }, `${word(payment.late ? "paid_late" : "state.paid")} ${money(payment.amount_paid ?? payment.amount)}`,
        make("small", {}, payment.change && tiyn(payment.change) > 0 ? word("page.change", { amount: sum(payment.change) }) : null, track(payment)))),
    papers(payment),
    make("div", { class: "tenders" }, make("button", { class: "tender first", onclick: () => choose("") }, word("page.done")),
      ...refundable(order).map((one) => make("button", { class: "tender wide", disabled: !!view.busy, onclick: () => giveBack(one) },
        `${word("page.refund")} · ${word(`tender.${one.tender}`)} ${money(one.refundable)}`)))];
  }
  const why = state && state !== "paid" ? (payment.reason && payment.reason.text) || word(`state.${state}`) : "";
  const note = why ? make("div", { class: "note" }, why) : null;
  if (view.step === "phone") return [phoneForm(order)];
  if (view.step === "cash") return [cashForm(order, wanted(rest))];
  if (view.step === "part") return [partForm(rest)];
  const part = wanted(rest) < rest ? make("div", { class: "note" }, `${word("page.part")}: ${written(wanted(rest))}${THIN}₸`) : null;
  return [note, part, make("div", { class: "tenders" },
    make("button", { class: "tender first", disabled: !!view.busy, onclick: () => collect(order, "kaspi_terminal") },
      view.busy === "kaspi_terminal" ? word("page.sending") : word("page.terminal")),
    make("button", { class: "tender", disabled: !!view.busy, onclick: () => step("phone") }, word("page.invoice")),
    make("button", { class: "tender", disabled: !!view.busy, onclick: () => step("cash") }, word("page.cash")),
    make("button", { class: "tender wide plain", disabled: !!view.busy, onclick: () => (view.amount ? (view.amount = "", step("")) : step("part")) },
      word(view.amount ? "page.whole" : "page.part")))];
}

/** Payments of an order of which money may still go back. */
const refundable = (order) => view.payments.filter((one) => one.order_id === order.order_id && tiyn(one.refundable) > 0);

/** A field for a sum in tenge. */
function sumField(name, label, changed) {
  const input = make("input", { id: name, inputmode: "decimal", autocomplete: "off", maxlength: 12, "aria-label": label });
  input.value = view[name];
  input.addEventListener("input", () => { view[name] = input.value.replace(",", ".").replace(/[^\d.]/g, ""); changed(); });
  return make("label", {}, label, input);
}

/** Part of the sum: several guests, or Kaspi and cash. */
function partForm(rest) {
  const go = make("button", { class: "tender first", onclick: () => step("") }, word("page.part"));
  const fit = () => { const typed = tiyn(view.amount || 0); go.disabled = typed <= 0 || typed > rest; };
  const form = make("div", { class: "sums" }, sumField("amount", word("page.amount"), fit),
    make("div", { class: "note" }, word("page.part_hint", { amount: written(rest) })),
    make("div", { class: "pair" }, make("button", { class: "plain", onclick: () => { view.amount = ""; step(""); } }, word("page.back")), go));
  fit();
  return form;
}

/** Cash: what the guest hands over, and the change. */
function cashForm(order, due) {
  const change = make("div", { class: "change" });
  const go = make("button", { class: "tender first", onclick: () => collect(order, "cash") }, word("page.cash_confirm", { amount: written(due) }));
  const fit = () => {
    const given = tiyn(view.tendered || 0);
    change.textContent = given > due ? word("page.change", { amount: written(given - due) }) : "";
    go.disabled = !!view.busy || (given > 0 && given < due);
  };
  const form = make("div", { class: "sums" }, sumField("tendered", word("page.tendered"), fit), change,
    make("div", { class: "pair" }, make("button", { class: "plain", disabled: !!view.busy, onclick: () => step("") }, word("page.back")), go));
  fit();
  return form;
}

function step(name) {
  view.step = name;
  drawAll();
  const field = { phone: "phone", part: "amount", cash: "tendered" }[name];
  if (field && at(field) && matchMedia("(hover: hover)").matches) at(field).focus();
}

function waiting(payment) {
  const hint = payment.reason ? payment.reason.text
    : payment.state !== "waiting" ? ""
    : payment.tender === "kaspi_terminal" ? word("page.on_terminal")
    : payment.phone ? word("page.on_phone", { phone: payment.phone }) : "";
  return make("div", { class: "stack" }, make("div", { class: "live" }, make("span", { class: "ring" }),
    make("div", { class: "text" }, word(`state.${payment.state}`), hint && make("small", {}, hint)), timer(payment)),
  payment.may_cancel && make("div", { class: "tenders" }, make("button", { class: "tender wide", disabled: !!view.busy, onclick: () => act("cancel", () =>
    call("POST", `/api/v1/payments/${encodeURIComponent(payment.id)}/cancel`, {})) },
  word(view.busy === "cancel" ? "page.cancelling" : "page.cancel"))));
}

const timer = (payment) => make("span", { class: "timer", "data-payment": payment.id }, age(payment));

function age(payment) {
  const seconds = Math.floor((payment.age_s || 0) + (performance.now() - (view.fetched.payments || performance.now())) / 1000);
  return seconds < 120 ? word("page.seconds", { seconds }) : word("page.minutes", { minutes: Math.floor(seconds / 60) });
}

// ---- the phone: +7 7XX XXX-XX-XX, kept as the ten digits after the 7

function phoneForm(order) {
  const input = make("input", { id: "phone", type: "tel", inputmode: "tel", autocomplete: "off", "aria-label": word("page.phone") });
  input.addEventListener("input", () => {
    const digits = input.value.replace(/\D/g, "");
    // A pasted 8701… or 7701… names the country too; what is typed after our "+7" does not.
    setPhone(input.value.startsWith("+7") || /^[78]\d{10}$/.test(digits) ? digits.slice(1) : digits);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Backspace") { event.preventDefault(); setPhone(view.phone.slice(0, -1)); }
    if (event.key === "Enter" && view.phone.length === 10) collect(order, "kaspi_invoice");
  });
  const key = (text, press) => make("button", { type: "button", onclick: press }, text);
  const digits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => key(String(digit), () => setPhone(view.phone + digit)));
  return make("div", { class: "phone" }, input,
    make("div", { class: "keypad" }, digits, key("C", () => setPhone("")), key("0", () => setPhone(view.phone + "0")), key("⌫", () => setPhone(view.phone.slice(0, -1)))),
    make("div", { class: "pair" }, make("button", { class: "plain", disabled: !!view.busy, onclick: () => step("") }, word("page.back")),
      make("button", { id: "send", class: "tender first", onclick: () => collect(order, "kaspi_invoice") }, word(view.busy ? "page.sending" : "page.send_invoice"))));
}

function setPhone(digits) {
  view.phone = digits.slice(0, 10);
  fitPhone();
}

function fitPhone() {
  const input = at("phone"), send = at("send");
  if (!input || !send) return;
  const [a, b, c, d] = [view.phone.slice(0, 3), view.phone.slice(3, 6), view.phone.slice(6, 8), view.phone.slice(8)];
  const text = "+7 " + a + (b && " " + b) + (c && "-" + c) + (d && "-" + d);
  if (input.value !== text) input.value = text;
  send.disabled = !!view.busy || view.phone.length !== 10 || view.phone[0] !== "7";
}

// ---- payments and jobs

function track(payment) {
  const steps = [];
  const pos = payment.pos, fiscal = payment.fiscal;
  if (pos && pos !== "none") steps.push([word(`pos.${pos}`), pos === "closed" ? "good" : pos === "question" ? "look" : ""]);
  if (fiscal && fiscal !== "none") {
    const sign = payment.fiscal_sign ? ` · ${word("page.fiscal_number", { sign: payment.fiscal_sign })}` : "";
    steps.push([word(`fiscal.${fiscal}`) + sign, ["registered", "offline"].includes(fiscal) ? "good" : ["refused", "uncertain"].includes(fiscal) ? "look" : ""]);
  }
  const receipt = (payment.prints || []).filter((print) => ["receipt", "fiscal", "notice"].includes(print.document.split(":")[0])).pop();
  if (receipt) {
    const look = receipt.state === "confirmed" ? "good" : ["suspect", "held"].includes(receipt.state) ? "look" : "";
    steps.push([`${word(`document.${receipt.document.split(":")[0]}`)}: ${word(`print.${receipt.state}`).toLowerCase()}`, look]);
  }
  if (payment.detail) steps.push([payment.detail, ""]);
  for (const refund of payment.refunds || []) {
    if (refund.state === "done") steps.push([word("page.refunded", { amount: sum(refund.returned) }), ""]);
    else if (refund.state !== "cancelled") steps.push([(refund.reason && refund.state === "failed" && refund.reason.text) || refund.state_text, refund.state === "unresolved" ? "firm" : "look"]);
  }
  return make("div", { class: "track" }, steps.map(([text, look]) => make("span", { class: look }, text)));
}

function drawPayments() {
  at("payments-title").textContent = word("page.payments");
  draw("payments", view.payments.map(({ age_s: _, ...payment }) => payment), () => view.payments.map((payment) => {
    const tone = payment.state === "paid" ? "good" : payment.state === "unresolved" ? "firm" : "";
    const name = payment.order_number ? `№${THIN}${payment.order_number}` : payment.reference || "";
    const text = payment.late ? word("paid_late") : word(`state.${payment.state}`);
    return make("button", { class: "payment", disabled: !payment.order_id, onclick: () => choose(payment.order_id) },
      make("div", { class: "top" }, make("span", { class: "name" }, name, payment.table ? ` · ${tableName(payment)}` : ""),
        make("span", {}, money(payment.state === "paid" ? payment.amount_paid ?? payment.amount : payment.amount))),
      make("div", { class: "middle" }, make("span", { class: "when" }, String(payment.created_at || "").slice(11, 16)), make("span", { class: "name" }, word(`tender.${payment.tender}`)),
        make("span", { class: `state ${tone}` }, text)),
      payment.state === "paid" ? track(payment) : null);
  }).flatMap((row, index) => {
    const payment = view.payments[index];
    const back = tiyn(payment.refundable) > 0 && payment.order_id !== view.chosen;
    return back ? [row, make("button", { class: "back", onclick: () => giveBack(payment) }, word("page.refund"))] : [row];
  }).concat(view.payments.length ? [] : [make("div", { class: "empty" }, word("page.no_payments"))]));
}

function drawJobs() {
  const jobs = view.jobs.filter((job) => !["sending", "sent", "confirmed", "done"].includes(job.state));
  draw("jobs", [jobs, view.busy], () => jobs.length ? [make("h2", {}, word("page.jobs")), ...jobs.map((job) => make("div", { class: "job" },
    make("div", { class: "text" }, make("b", {}, job.text || word(`job.${job.state}`)),
      [job.document ? word(`document.${job.document.split(":")[0]}`) : word(`job.${job.kind}`), job.order_number && `№${THIN}${job.order_number}`, job.target,
        job.tries > 1 && word("page.tries", { tries: job.tries })].filter(Boolean).join(" · ")),
    job.may_tick && make("button", { disabled: !!view.busy, onclick: () => act("tick", () => call("POST", `/api/v1/jobs/${encodeURIComponent(job.id)}/tick`, {})) },
      word("page.tick")),
    make("button", { disabled: !!view.busy, onclick: () => act("retry", () => call("POST", `/api/v1/jobs/${encodeURIComponent(job.id)}/retry`, {})) },
      word(job.may_tick ? "page.reprint" : "page.retry"))))] : []);
}

// ---- a person's answer: a name and a reason always; a number for "paid", a second yes for "not paid"

function answer(question) {
  const dialog = at("dialog"), unclear = isUnclear(question), ofRefund = unclear && !!question.refund;
  const [yes, no] = ofRefund ? ["returned", "not_returned"] : ["paid", "not_paid"];
  const filled = { by: "", because: "", transaction: "" };
  let outcome = unclear ? "" : "done", sure = false;
  const field = (name) => {
    const input = make("input", { value: filled[name], autocomplete: "off", maxlength: 200, oninput: () => { filled[name] = input.value; } });
    return make("label", {}, word(`page.${name}`), input);
  };
  const pick = (name) => { outcome = name; sure = false; show(); };
  const send = async () => {
    const needed = ["by", "because", ...(outcome === yes ? ["transaction"] : [])];
    if (needed.some((name) => !filled[name].trim())) { toast(word("page.fill_in")); return; }
    if (outcome === no && !sure) { sure = true; show(); return; }
    const body = { by: filled.by.trim(), because: filled.because.trim() };
    const path = ofRefund ? `/api/v1/refunds/${encodeURIComponent(question.refund)}/answer`
      : unclear && question.payment ? `/api/v1/payments/${encodeURIComponent(question.payment)}/answer`
      : `/api/v1/questions/${encodeURIComponent(question.id)}/answer`;
    if (unclear) Object.assign(body, { outcome }, outcome === yes ? { transaction: filled.transaction.trim() } : { confirmed: sure });
    if (await act("answer", () => call("POST", path, body))) dialog.close();
  };
  const show = () => {
    const choice = (name) => make("button", { type: "button", disabled: !question.may_answer, "aria-pressed": String(outcome === name), onclick: () => pick(name) }, word(`page.${name}`));
    dialog.replaceChildren(...[
      make("h1", {}, unclear ? `${word(ofRefund ? "page.refund_answer_title" : "page.answer_title")} ${ordered(question)}${money(question.amount)}` : question.text),
      make("p", {}, question.may_answer ? word("page.answer_hint") : word("page.answer_wait")),
      unclear && make("div", { class: "choices" }, choice(yes), choice(no)),
      outcome && field("by"), outcome && field("because"), outcome === yes && field("transaction"),
      sure && make("div", { class: "note" }, word(ofRefund ? "page.sure_refund_hint" : "page.sure_hint")),
      make("div", { class: "foot" }, make("button", { type: "button", class: "plain", onclick: () => dialog.close() }, word("page.close")),
        outcome && make("button", { type: "button", class: sure ? "go sure" : "go", onclick: send },
          sure ? word(`page.sure_${no}`, { amount: sum(question.amount) }) : word(outcome === "done" ? "page.mark_done" : `page.${outcome}`))),
    ].filter(Boolean));
  };
  show();
  if (!dialog.open) dialog.showModal();
}

// ---- money back: a name and a reason always; the number where a person has refunded in Kaspi Pay already

function giveBack(payment) {
  const dialog = at("dialog"), byHand = payment.tender !== "cash";
  const filled = { by: "", because: "", transaction: "", amount: String(decimal(tiyn(payment.refundable))) };
  const go = make("button", { type: "button", class: "go" });
  const fit = () => {
    const value = tiyn(filled.amount);
    go.textContent = word("page.refund_go", { amount: written(value) });
    go.disabled = value <= 0 || value > tiyn(payment.refundable);
  };
  const field = (name, label) => {
    const input = make("input", { value: filled[name], autocomplete: "off", maxlength: 200, inputmode: name === "amount" ? "decimal" : null });
    input.addEventListener("input", () => { filled[name] = name === "amount" ? input.value.replace(",", ".") : input.value; fit(); });
    return make("label", {}, label, input);
  };
  go.addEventListener("click", async () => {
    if (!filled.by.trim() || !filled.because.trim()) { toast(word("page.fill_in")); return; }
    const body = { amount: decimal(tiyn(filled.amount)), by: filled.by.trim(), because: filled.because.trim() };
    if (filled.transaction.trim()) body.transaction = filled.transaction.trim();
    const press = pressKey({ refund: payment.id, left: payment.refundable, ...body });
    const done = await act("refund", async () => {
      try {
        await call("POST", `/api/v1/payments/${encodeURIComponent(payment.id)}/refund`, body, { "Idempotency-Key": press.key });
        press.answered();
      } catch (error) {
        if (error.status && error.status < 500) press.answered();
        throw error;
      }
    });
    if (done) dialog.close();
  });
  dialog.replaceChildren(...[
    make("h1", {}, `${word("page.refund_title")} ${ordered(payment)}${money(payment.amount_paid ?? payment.amount)}`),
    make("p", {}, word("page.refund_hint", { amount: sum(payment.refundable) })),
    field("amount", word("page.amount")), field("by", word("page.by")), field("because", word("page.because")),
    byHand && field("transaction", word("page.refund_hand")),
    make("div", { class: "foot" }, make("button", { type: "button", class: "plain", onclick: () => dialog.close() }, word("page.close")), go),
  ].filter(Boolean));
  fit();
  if (!dialog.open) dialog.showModal();
}

// ---- paper: the papers of an order, each printed again by one tap; a printer tried out

function papers(payment) {
  const prints = ((payment && payment.prints) || []).filter((print) => print.document !== "drawer");
  // A receipt that came after its guest had gone is printed when somebody asks for it.
  const late = payment && payment.fiscal_sign && !prints.some((print) => print.document === `fiscal:${payment.fiscal_id}`);
  if (!prints.length && !late) return null;
  const title = (print) => [word(`document.${print.document.split(":")[0]}`), print.document.startsWith("ticket:") && print.document.slice(7), `· ${word(`print.${print.state}`).toLowerCase()}`];
  return make("div", { class: "papers" }, make("h2", {}, word("page.paper")),
    late && make("div", { class: "paper" }, make("span", {}, `${word("document.fiscal")} · ${word("page.fiscal_number", { sign: payment.fiscal_sign })}`),
      make("button", { disabled: !!view.busy, onclick: () => printReceipt(payment.fiscal_id) }, word("page.fiscal_print"))), prints.map((print) => make("div", { class: "paper" },
    make("span", { class: ["suspect", "held"].includes(print.state) ? "look" : "" }, title(print).filter(Boolean).join(" ")),
    ["sent", "confirmed", "suspect"].includes(print.state) && make("button", { disabled: !!view.busy, onclick: () => act("reprint", () =>
      call("POST", `/api/v1/jobs/${encodeURIComponent(print.job)}/retry`, {})) }, word("page.reprint")))));
}

const printReceipt = (id) => act("fiscal_print", async () => {
  await call("POST", `/api/v1/fiscal/${encodeURIComponent(id)}/print`, {});
  toast(word("page.fiscal_sent"));
});

// ---- the cash register: how it is, its reports, cash in and out, and its newest documents

async function register() {
  const dialog = at("dialog"), filled = { amount: "", by: "", because: "" };
  let shown = null, form = "", drawn = "";
  const load = async () => {
    shown = await call("GET", `/api/v1/fiscal?lang=${view.lang}`);
    // What has not changed is not drawn again: a tap never lands on a button that was just replaced.
    const text = JSON.stringify([shown.state, shown.text, shown.waiting, shown.hours_left, shown.documents]);
    if (text !== drawn) { drawn = text; show(); }
  };
  const post = (path, body) => act("register", async () => {
    // A report has no key: one of its kind that still waits is the same wish.
    const press = path === "cash" ? pressKey({ cash: body }) : null;
    try {
      await call("POST", `/api/v1/fiscal/${path}?lang=${view.lang}`, body || {}, press ? { "Idempotency-Key": press.key } : {});
      if (press) press.answered();
      form = "";
      show();
    } catch (error) {
      if (press && error.status && error.status < 500) press.answered();
      throw error;
    } finally {
      await load().catch(() => {});
    }
  });
  const move = () => {
    if (!(tiyn(filled.amount) > 0) || !filled.by.trim() || !filled.because.trim()) { toast(word("page.fill_in")); return; }
    post("cash", { in: form === "in", amount: decimal(tiyn(filled.amount)), by: filled.by.trim(), because: filled.because.trim() });
  };
  const field = (name) => {
    const input = make("input", { value: filled[name], autocomplete: "off", maxlength: 200, inputmode: name === "amount" ? "decimal" : null });
    input.addEventListener("input", () => { filled[name] = name === "amount" ? input.value.replace(",", ".") : input.value; });
    return make("label", {}, word(name === "because" ? "page.fiscal_because" : `page.${name}`), input);
  };
  const open = (name) => { form = name; show(); };
  const choice = (name, text) => make("button", { type: "button", "aria-pressed": String(form === name), onclick: () => (name === "x" ? post("x") : open(form === name ? "" : name)) }, text);
  const status = () => [
    shown.text || word(`device.${shown.state}`),
    shown.register && (shown.shift ? word("page.fiscal_shift", { shift: shown.shift }) : word("page.fiscal_no_shift")),
    shown.waiting > 0 && word("page.fiscal_waiting", { count: shown.waiting, age: span(shown.oldest_s || 0) }),
    shown.hours_left !== null && shown.hours_left !== undefined && word("page.fiscal_left", { hours: shown.hours_left }),
  ].filter(Boolean).join(" · ");
  const isBill = (one) => one.act === "sale" || one.act === "return";
  const told = (one) => (one.sign ? word("page.fiscal_number", { sign: one.sign })
    : one.state === "registered" && !isBill(one) && one.shift ? word("page.fiscal_shift", { shift: one.shift }) : one.state_text);
  const row = (one) => make("div", { class: `document ${one.state === "refused" || one.state === "uncertain" ? "look" : ""}` },
    make("span", { class: "when" }, String(one.created_at || "").slice(11, 16)),
    make("span", { class: "what" }, make("b", {}, [one.act_text, one.order_number && `№${THIN}${one.order_number}`].filter(Boolean).join(" ")),
      make("small", {}, [told(one), one.text].filter(Boolean).join(" · "))),
    make("span", { class: "sum" }, tiyn(one.total) ? money(one.total) : ""),
    one.may_retry ? make("button", { type: "button", onclick: () => post(`${one.id}/retry`) }, word("page.retry"))
      : one.may_print && make("button", { type: "button", onclick: () => post(`${one.id}/print`).then((done) => { if (done) toast(word("page.fiscal_sent")); }) },
        word(isBill(one) ? "page.fiscal_print" : "page.print_it")));
  const show = () => {
    dialog.replaceChildren(...[
      make("h1", {}, [word("page.fiscal"), shown.register].filter(Boolean).join(" · ")),
      make("p", {}, status()),
      shown.register && make("div", { class: "choices four" }, choice("x", word("page.fiscal_x")), choice("z", word("page.fiscal_z")),
        choice("in", word("page.fiscal_in")), choice("out", word("page.fiscal_out"))),
      form === "z" && make("div", { class: "note" }, word("page.fiscal_z_hint")),
      ["in", "out"].includes(form) && [field("amount"), field("by"), field("because")],
      !form && make("div", { class: "documents" }, shown.documents.length ? shown.documents.map(row) : make("div", { class: "empty" }, word("page.fiscal_empty"))),
      make("div", { class: "foot" }, make("button", { type: "button", class: "plain", onclick: () => dialog.close() }, word("page.close")),
        form === "z" && make("button", { type: "button", class: "go sure", onclick: () => post("z") }, word("page.fiscal_z_sure")),
        ["in", "out"].includes(form) && make("button", { type: "button", class: "go", onclick: move }, word(`page.fiscal_${form}`))),
    ].flat().filter(Boolean));
  };
  await act("register", load);
  if (!shown || dialog.open) return;
  const timer = setInterval(() => { if (!form && !view.busy) load().catch(() => {}); }, 3000);
  dialog.addEventListener("close", () => clearInterval(timer), { once: true });
  dialog.showModal();
}

const span = (seconds) => (seconds < 7200 ? word("page.minutes", { minutes: Math.floor(seconds / 60) }) : word("page.hours", { hours: Math.floor(seconds / 3600) }));

/** The test slip, and the number of the line that reads right: the printer keeps it. */
async function tryPrinter(name) {
  const dialog = at("dialog"), path = `/api/v1/printers/${encodeURIComponent(name)}`;
  const show = (candidates) => {
    dialog.replaceChildren(...[
      make("h1", {}, `${word("page.print_test")} · ${name}`),
      candidates && make("p", {}, word("page.which_line")),
      candidates && make("div", { class: "numbers" }, candidates.map((one) => make("button", { type: "button", title: one.text, onclick: () => keep(one) }, String(one.number)))),
      make("div", { class: "foot" }, make("button", { type: "button", class: "plain", onclick: () => dialog.close() }, word("page.close")),
        make("button", { type: "button", class: "go", onclick: print }, word("page.print_test"))),
    ].filter(Boolean));
  };
  const print = () => act("print_test", async () => show((await call("POST", `${path}/test?lang=${view.lang}`, {})).candidates));
  const keep = (one) => act("letters", async () => {
    const kept = await call("POST", `${path}/letters?lang=${view.lang}`, { number: one.number });
    dialog.close();
    toast(word("page.letters_kept", { detail: kept.text }));
  });
  show(null);
  if (!dialog.open) dialog.showModal();
}

// ---- the door: the PIN of the till, by thumb or by keyboard, for a device of the LAN

const PIN_MAX = 8, PIN_MIN = 6;
const door = { open: false, pin: "", said: "", until: 0, busy: false, name: localStorage.getItem("device") || "", timer: 0, wrong: false };

function closeDoor(said) {
  if (door.open) return;
  Object.assign(door, { open: true, pin: "", said: said || "", wrong: false });
  drawDoor();
}

function openDoor() {
  Object.assign(door, { open: false, pin: "", said: "", until: 0 });
  clearInterval(door.timer);
  drawDoor();
  view.offline = false;
  refresh();
  if (!stream || stream.readyState === EventSource.CLOSED) listen();
}

const doorWait = () => Math.max(0, Math.ceil((door.until - performance.now()) / 1000));
const clockface = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

function typeDigit(digit) {
  if (door.busy || doorWait()) return;
  if (door.pin.length < PIN_MAX) door.pin += digit;
  door.said = "";
  door.wrong = false;
  drawDoor();
}

function eraseDigit() {
  door.pin = door.pin.slice(0, -1);
  drawDoor();
}

async function signIn() {
  if (door.busy || doorWait() || door.pin.length < PIN_MIN) return;
  door.busy = true;
  drawDoor();
  try {
    await call("POST", `/api/v1/sign-in?lang=${view.lang}`, { pin: door.pin, name: door.name.trim() || deviceName() });
    localStorage.setItem("device", door.name.trim());
    door.busy = false;
    openDoor();
    return;
  } catch (error) {
    door.said = error.status ? error.message : word("page.offline");
    door.wrong = error.status === 403;
    if (error.status === 429 && error.wait > 0) {
      door.until = performance.now() + error.wait * 1000;
      clearInterval(door.timer);
      door.timer = setInterval(() => {
        if (!doorWait()) { clearInterval(door.timer); door.said = ""; }
        drawDoor();
      }, 1000);
    }
  }
  Object.assign(door, { busy: false, pin: "" });
  drawDoor();
}

/** What the owner reads in the list of devices when nobody typed a name. */
function deviceName() {
  const found = /iPad|iPhone|Android|Windows|Macintosh|Linux/.exec(navigator.userAgent);
  return found ? found[0] : "browser";
}

function drawDoor() {
  const place = at("door");
  const typed = place.contains(document.activeElement) && document.activeElement.tagName === "INPUT";
  if (!door.open) {
    if (place.open) { place.close(); place.replaceChildren(); delete view.drawn.door; }
    return;
  }
  // Above whatever dialog is open: it is still there afterwards, with what was typed into it.
  if (!place.open) place.showModal();
  const seconds = doorWait(), off = door.busy || seconds > 0;
  draw("door", [door.pin.length, door.said, door.busy, seconds, door.wrong, Object.keys(view.words).length], () => {
    const key = (digit) => make("button", { type: "button", disabled: off, onclick: () => typeDigit(digit) }, digit);
    const name = make("input", { value: door.name, maxlength: 40, autocomplete: "off", placeholder: deviceName() });
    name.addEventListener("input", () => { door.name = name.value; });
    return make("form", { onsubmit: (event) => { event.preventDefault(); signIn(); } },
      make("div", { class: "languages" }, LANGUAGES.map(([lang, title]) =>
        make("button", { type: "button", "aria-pressed": String(lang === view.lang), onclick: () => speak(lang) }, title))),
      make("h1", { id: "door-title" }, word("page.sign_in")),
      make("div", { class: door.wrong ? "dots shake" : "dots", role: "img", "aria-label": String(door.pin.length) },
        Array.from({ length: Math.max(PIN_MIN, door.pin.length) }, (_, index) => make("i", { class: index < door.pin.length ? "full" : "" }))),
      make("p", { class: "said", role: "alert" }, seconds ? word("page.sign_in_wait", { time: clockface(seconds) }) : door.said),
      make("div", { class: "keypad" }, [..."123456789"].map(key),
        make("button", { type: "button", class: "side", disabled: off || !door.pin, onclick: eraseDigit }, word("page.erase")), key("0"),
        make("button", { type: "submit", class: "go", disabled: off || door.pin.length < PIN_MIN }, word("page.sign_in_go"))),
      make("label", {}, word("page.sign_in_name"), name));
  });
  if (typed) { const input = place.querySelector("input"); input.focus(); input.setSelectionRange(input.value.length, input.value.length); }
}

at("door").addEventListener("cancel", (event) => event.preventDefault());
addEventListener("keydown", (event) => {
  if (!door.open || event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^[0-9]$/.test(event.key)) typeDigit(event.key);
  else if (event.key === "Backspace") eraseDigit();
  else if (event.key === "Enter") signIn();
  else return;
  event.preventDefault();
});

// ---- all together

function drawAll() {
  drawDoor();
  drawBar();
  drawQuestions();
  drawOrders();
  drawPanel();
  drawPayments();
  drawJobs();
}

async function speak(lang) {
  try {
    const reply = await call("GET", `/api/v1/words?lang=${encodeURIComponent(lang)}`);
    view.lang = reply.lang || lang || "ru";
    view.words = reply.words || {};
    localStorage.setItem("lang", view.lang);
    document.documentElement.lang = view.lang;
  } catch {
    if (!Object.keys(view.words).length) { setTimeout(() => speak(lang), 2000); return; }
  }
  refresh();
  drawAll();
}

at("search").addEventListener("input", () => { view.search = at("search").value; drawAll(); });
addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1))));
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
setInterval(() => { if (!door.open) refresh(); }, REFRESH_MS);
setInterval(() => document.querySelectorAll("[data-payment]").forEach((element) => {
  const payment = view.payments.find((one) => one.id === element.dataset.payment);
  if (payment) element.textContent = age(payment);
}), 1000);
speak(view.lang || (navigator.language || "ru").slice(0, 2)).then(listen);
