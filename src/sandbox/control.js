"use strict";
// The whole page is drawn from one JSON each second; a part is redrawn only when its text changed, so that buttons stay under the finger.
const byId = id => document.getElementById(id);
const safe = text => String(text ?? "").replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const tenge = sum => `${new Intl.NumberFormat("ru-RU", { maximumFractionDigits: 2 }).format(sum)} ₸`;
const button = (act, args, text, kind = "") => `<button class="${kind}" data-do="${act}" data-args='${safe(JSON.stringify(args))}'>${text}</button>`;
const draw = (id, html) => { const place = byId(id); if (place.dataset.shown !== html) { place.innerHTML = html; place.dataset.shown = html; } };
const rows = (list, row) => list.map(row).join("") || `<li class="muted">пока пусто</li>`;

async function act(what, args = {}) {
  const reply = await fetch(`/control/${what}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(args) });
  if (!reply.ok) byId("alive").textContent = "сейчас это невозможно";
  await refresh();
}

const INVOICE = { pending: "ждёт", paid: "оплачено", expired: "истёк", error: "ошибка" };
function invoice(i) {
  const acts = i.status === "pending"
    ? button("aipay/pays", { id: i.id }, "Гость платит", "pay") + button("aipay/walks_away", { id: i.id }, i.walked_away ? "ушёл…" : "Гость ушёл") + button("aipay/error", { id: i.id }, "Ошибка")
    : button("aipay/redeliver", { id: i.id }, "Вебхук ещё раз") + (i.status === "paid" ? "" : button("aipay/pays", { id: i.id }, "Оплатить поздно"));
  return `<div class="bubble ${i.status}"><span class="tag">${INVOICE[i.status]}</span><div class="who">Kaspi · счёт на оплату</div>
    <div class="sum">${tenge(i.amount)}</div><div>${safe(i.description)}</div><div class="who">${safe(i.phone)} · ${safe(i.external_id)}</div><div class="acts">${acts}</div></div>`;
}

const STATUS = { wait: "ждёт", success: "прошла", fail: "нет", unknown: "не ясно" };
function glass(screen, n) {
  const at = { terminal: n };
  switch (screen.screen) {
    case "register": return `<div>Разрешить интеграцию?</div><b>${safe(screen.name)}</b>${button("terminal/allow", at, "Разрешить", "pay")}${button("terminal/deny", at, "Запретить")}`;
    case "pay": return `<div class="sum">${tenge(screen.amount)}</div><div class="qr"></div><div class="acts2">${button("terminal/qr", at, "QR", "pay")}${button("terminal/card", at, "Карта", "main")}${button("terminal/declined", at, "Отказ")}${button("terminal/walks_away", at, "Ушёл")}</div>`;
    case "refund": return `<div>Возврат</div><div class="sum">${tenge(screen.amount)}</div>${button("terminal/qr", at, "Подтвердить", "pay")}${button("terminal/declined", at, "Отказ")}${button("terminal/walks_away", at, "Ушёл")}`;
    default: return `<div class="idle">Готов к оплате</div>`;
  }
}
function terminal(t, n) {
  const at = more => ({ terminal: n, ...more });
  const list = rows(t.operations.slice(0, 5), o => `<li>${o.is_refund ? "−" : ""}${tenge(o.amount)} <span class="tag ${o.status === "success" ? "good" : o.status === "unknown" ? "bad" : ""}">${STATUS[o.status]}</span></li>`);
  return `<div><h2>Терминал <small>${safe(t.name)}</small></h2><div class="device"><div class="brand">SMART POS</div><div class="glass">${glass(t.screen, n)}</div><div class="slot"></div></div>
    <div class="tools">${button("terminal/unknown", at({ asks: 2, success: true }), "«Не ясно», потом да")}${button("terminal/unknown", at({ asks: 2, success: false }), "«Не ясно», потом нет")}${button("terminal/reboot", at(), "Перезагрузить")}
    ${button("terminal/auto", at({ on: !t.auto }), t.auto ? "гости платят сами ✓" : "гости платят сами", t.auto ? "on" : "")}</div><ol>${list}</ol></div>`;
}

function order(o) {
  const dishes = o.lines.map(([name, count]) => `<li>${count > 1 ? `${count} × ` : ""}${safe(name)}</li>`).join("");
  const paid = o.payed_cash && o.payed_card ? "наличные и безнал" : o.payed_cash ? "наличные" : "безнал";
  const end = o.status === 2 ? `закрыт${o.is_closed_by_hand ? " руками" : ""}: ${paid}${o.closes > 1 ? ` ×${o.closes}!` : ""}` : "удалён";
  const acts = o.status === 1 ? `<div class="acts">${button("poster/add_dish", { id: o.id }, "Добавить блюдо")}${button("poster/close_cash", { id: o.id }, "Закрыть руками наличными")}${button("poster/remove", { id: o.id }, "Удалить")}</div>` : "";
  return `<div class="card ${o.status === 1 ? "" : "done"}"><span class="tag ${o.status === 2 ? "good" : ""}">${o.status === 1 ? "открыт" : end}</span><b>${o.table ? `Стол ${safe(o.table)}` : "С собой"}</b> <span class="muted">№ ${safe(o.number)} · ${safe(o.waiter)}</span>
    <ul>${dishes}</ul><div class="sum">${tenge(o.due / 100)}</div>${acts}</div>`;
}

const PAID = { cash: "наличные", card: "карта", mobile: "мобильный" };
function fiscal(r) {
  const back = r.side === "return";
  const state = r.is_autonomous ? (r.is_uploaded ? "передан" : "автономный") : "у оператора";
  const paid = r.payments.map(p => `${PAID[p.kind]} ${tenge(p.sum / 100)}`).join(", ") + (r.change ? `, сдача ${tenge(r.change / 100)}` : "");
  return `<div class="card${back ? " back" : ""}"><span class="tag ${r.is_uploaded ? "good" : "bad"}">${state}</span><b>${back ? "Возврат" : "Продажа"} № ${r.number}</b>
    <div class="sum">${back ? "−" : ""}${tenge(r.total / 100)}</div><div class="muted">ФП ${safe(r.sign)}${r.times_asked > 1 ? ` · спросили ×${r.times_asked}` : ""}</div>
    <div class="muted">${safe(r.told_at)} · смена ${r.shift}${r.order_number ? ` · заказ ${safe(r.order_number)}` : ""}</div><div class="muted">${paid}${r.basis ? ` · к чеку ${safe(r.basis)}` : ""}</div></div>`;
}
function webkassa(w) {
  const open = w.shift && !w.shift.closed;
  const shift = open ? `смена ${w.shift.number} открыта, чеков ${w.shift.receipts}` : "смена закрыта";
  const acts = button("webkassa/autonomous", { on: !w.is_autonomous }, w.is_autonomous ? "ОФД вернулся" : "ОФД пропал", w.is_autonomous ? "on" : "")
    + button("webkassa/down", { on: !w.luck.is_down }, w.luck.is_down ? "связь включить" : "связь выключить", w.luck.is_down ? "on" : "")
    + button("webkassa/expire_tokens", {}, "Токен устарел") + (open ? button("webkassa/z", {}, "Z-отчёт") : "");
  const cards = w.receipts.map(fiscal).join("") || `<div class="empty">Чеков пока нет.</div>`;
  return `<div class="row"><span>В кассе ${tenge(w.drawer / 100)}</span><div class="muted">${shift}</div></div><div class="choice">${acts}</div><div class="cards short">${cards}</div>`;
}

const PAPER = { ok: "исправен", paper_low: "бумага на исходе", paper_out: "нет бумаги", cover_open: "крышка", cutter: "нож", offline: "не на связи", silent: "молчит", off: "выключен" };
function sheet(p, paper, title) {
  return `<img alt="${title}" loading="lazy" src="/control/printers/${encodeURIComponent(p.name)}/${paper.number}.png"><details><summary class="muted">${title}: текст</summary><pre>${safe(paper.text)}</pre></details>`;
}
function printer(p) {
  const switches = Object.entries(PAPER).map(([state, text]) => button("printer/state", { printer: p.name, state }, text, p.state === state ? "on" : "")).join("");
  const [last, ...older] = p.newest;
  const out = last ? sheet(p, last, `лист ${last.number}`) : `<div class="empty">бумаги ещё не было</div>`;
  const before = older.length ? `<details><summary class="muted">прежние листы</summary>${older.map(paper => sheet(p, paper, `лист ${paper.number}`)).join("")}</details>` : "";
  return `<div class="printer"><h3>${safe(p.name)} · листов ${p.papers}</h3><div class="choice">${switches}</div><br><div class="tray"></div><div class="sheet">${out}</div>${before}</div>`;
}

function partner(name, path, calls, luck, args = {}) {
  const fired = Object.entries(luck.fired).map(([kind, n]) => `${kind} ${n}`).join(", ");
  const lose = calls.map(([call, text]) => button(`${path}/fault`, { ...args, call, fault: "lose_reply" }, `потерять ответ: ${text}`)).join("");
  return `<div class="row"><span>${name}</span>${button(`${path}/down`, { ...args, on: !luck.is_down }, luck.is_down ? "включить" : "выключить", luck.is_down ? "on" : "")}${lose}
    ${button(`${path}/fault`, { ...args, call: "*", fault: "garbage" }, "мусор в ответ")}${button(`${path}/fault`, { ...args, call: "*", fault: "status", number: 503 }, "503")}${button(`${path}/clear`, args, "всё хорошо")}<span class="count">${safe(fired)}</span></div>`;
}

async function refresh() {
  let s;
  try { s = await (await fetch("/control/state")).json(); } catch { byId("alive").className = "alive lost"; byId("alive").textContent = "нет связи"; return; }
  byId("alive").className = "alive"; byId("alive").textContent = "на связи";
  draw("phone", s.aipay.invoices.map(invoice).join("") || `<div class="empty">Счетов пока нет.<br>Они придут сюда, как в Kaspi.</div>`);
  byId("aipay-auto").checked = s.aipay.auto;
  draw("terminals", s.terminals.map(terminal).join(""));
  draw("orders", s.poster.orders.map(order).join("") || `<div class="empty">В зале пусто. Откройте первый заказ.</div>`);
  draw("webkassa", webkassa(s.webkassa));
  draw("printers", s.printers.map(printer).join("") || `<div class="empty">Принтеры не подключены.</div>`);
  byId("gallery").hidden = !s.samples.length;
  draw("samples", s.samples.map((title, n) => `<figure><figcaption>${safe(title)}</figcaption><img alt="${safe(title)}" loading="lazy" src="/control/samples/${n}.png"></figure>`).join(""));
  document.querySelectorAll("#modes button").forEach(b => b.classList.toggle("on", b.dataset.mode === s.aipay.mode));
  draw("partners", partner("AiPay", "aipay", [["create", "счёт"], ["get", "чтение"]], s.aipay.luck) + partner("Poster", "poster", [["close", "закрытие"], ["read", "чтение"]], s.poster.luck)
    + partner("Webkassa", "webkassa", [["check", "чек"], ["z", "Z"]], s.webkassa.luck)
    + s.terminals.map((t, n) => partner(`Терминал ${safe(t.name)}`, "terminal", [["payment", "оплата"], ["status", "статус"]], t.luck, { terminal: n })).join("") + partner("Бот", "bot", [["webhook", "вебхук"]], s.bot.luck));
  draw("deliveries", rows(s.aipay.deliveries, d => `<li>${INVOICE[d.status]} · ${d.invoice_id} <span class="tag ${d.is_accepted ? "good" : "bad"}">${d.answered ?? "нет ответа"} · ${d.tries}</span></li>`));
  draw("events", rows(s.bot.events, e => `<li>${INVOICE[e.status] ?? safe(e.status)} · ${safe(e.external_id)} · ${tenge(e.amount)}</li>`));
  const all = [s.aipay.luck, s.poster.luck, s.webkassa.luck, s.bot.luck, ...s.terminals.map(t => t.luck)].flatMap(l => l.violations);
  draw("violations", rows(all, v => `<li>${safe(v)}</li>`));
}

document.addEventListener("click", event => {
  const pressed = event.target.closest("button");
  if (pressed?.dataset.do) act(pressed.dataset.do, JSON.parse(pressed.dataset.args ?? "{}"));
  if (pressed?.dataset.mode) act("aipay/mode", { mode: pressed.dataset.mode });
});
byId("aipay-auto").addEventListener("change", event => act("aipay/auto", { on: event.target.checked }));
(async function forever() { await refresh(); setTimeout(forever, 1000); })();
