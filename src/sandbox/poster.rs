//! Poster's web API as its chapter describes it (§§1–5, 9, 15): errors come with HTTP 200, numbers as texts, sums as tiyn when read and
//! as tenge when written, and a close must carry exactly the amount due. A waiter works at the register: opens, adds, closes by hand.

use super::gate::{Ask, Gate, Ground, form_pairs, json, shop_time, with_gate};
use super::menu::{Dish, TABLES, WAITERS, dictionary, find_dish};
use crate::domain::money::Tiyn;
use crate::domain::time::Wall;
use crate::host::clock::Monotonic;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json as object};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a second close of the same order is answered with; the real answer is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondClose {
    /// Error 42, receipt not found.
    NotFound,
    /// Error 44, could not save.
    NotSaved,
    /// `err_code` 0, as if it had happened; nothing is applied.
    Pretends,
}

/// How errors are written; all three were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"code":11,"message":"…"}}`
    Object,
    /// `{"error":34,"message":"…"}`
    Number,
    /// `{"error":"…"}`
    Text,
}

/// How this Poster is set up.
#[derive(Clone, Debug)]
pub struct PosterOptions {
    /// `account:32 hex digits`.
    pub token: String,
    /// The only outlet.
    pub spot_id: i64,
    /// Its only register.
    pub spot_tablet_id: i64,
    /// What a second close gets.
    pub second_close: SecondClose,
    /// How errors look.
    pub error_form: ErrorForm,
    /// How long an order opened at the register stays unseen by the web API.
    pub register_lag: Duration,
}

impl Default for PosterOptions {
    fn default() -> PosterOptions {
        PosterOptions {
            token: "687409:00112233445566778899aabbccddeeff".to_owned(),
            spot_id: 1,
            spot_tablet_id: 1,
            second_close: SecondClose::NotFound,
            error_form: ErrorForm::Object,
            register_lag: Duration::ZERO,
        }
    }
}

/// How a hand at the register closes an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHand {
    /// Notes and coins.
    Cash,
    /// The register's own card line.
    Card,
}

/// An order as tests and the control page see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderView {
    /// `transaction_id`.
    pub id: u64,
    /// The number people say; Poster says the id.
    pub number: String,
    /// The table; empty for take-away.
    pub table: String,
    /// The waiter.
    pub waiter: String,
    /// 1 open, 2 closed, 3 removed.
    pub status: u8,
    /// What is to pay, in tiyn.
    pub due: Tiyn,
    /// How many closes were applied, by whomever.
    pub closes: u32,
    /// A hand at the register closed it.
    pub is_closed_by_hand: bool,
    /// Paid in cash, in tiyn.
    pub payed_cash: Tiyn,
    /// Paid cashless, in tiyn.
    pub payed_card: Tiyn,
    /// The dishes: name and count.
    pub lines: Vec<(String, u32)>,
    /// `print_fiscal`: 0 no receipt known, 1 registered, 2 given back.
    pub print_fiscal: u8,
    /// How many fiscal receipts the register was told to print itself.
    pub fiscal_prints: u32,
}

/// The simulated Poster account with its register.
pub struct Poster {
    gate: Gate,
    ground: Ground,
    state: Mutex<Account>,
}

with_gate!(Poster);

struct Account {
    options: PosterOptions,
    orders: Vec<Order>,
    next_id: u64,
    next_line: u64,
    last_ms: i64,
    /// Texts of modifiers; the place of a text is its id, from 1.
    modifiers: Vec<String>,
}

struct Order {
    view: OrderView,
    table_id: u64,
    user_id: u64,
    guests: u64,
    /// Opening time in ms, Poster's second name of the order.
    opened: Wall,
    seen_from: Monotonic,
    closed: Option<Wall>,
    payed_cert: Tiyn,
    reason: u64,
    comment: String,
    lines: Vec<Line>,
    history: Vec<Value>,
}

struct Line {
    id: u64,
    dish: Dish,
    price: i64,
    count: u32,
    changed: Wall,
    modification: u64,
    modifiers: String,
    print_fiscal: u8,
}

/// An error code and its text.
type Trouble = (i64, &'static str);
type Params = BTreeMap<String, Value>;

const NO_TOKEN: Trouble = (10, "Access token is missing");
const BAD_TOKEN: Trouble = (11, "Bad access token");
const NO_METHOD: Trouble = (30, "Method Not Allowed");
const NO_ID: Trouble = (32, "Entity with this id does not exist");
const NO_PRODUCT: Trouble = (41, "Product not found");
const NO_RECEIPT: Trouble = (42, "Receipt not found");
const NOT_IN_RECEIPT: Trouble = (43, "Product is not in the receipt");
const NOT_SAVED: Trouble = (44, "Could not save");
const NO_LIST: Trouble = (36, "Must be an array");
const TOO_EARLY: Trouble = (45, "Action time is earlier than the opening of the receipt");
const MISSING: Trouble = (42, "Variable is missing");
const BELOW_ZERO: Trouble = (46, "Count is below zero");
const NO_SPOT: Trouble = (60, "Outlet not found");
const BAD_SUM: Trouble = (88, "Sum of goods is not equal to sum of payments");
const BAD_VALUE: Trouble = (155, "Wrong value");

impl Poster {
    /// An account without orders.
    pub fn new(ground: &Ground, options: PosterOptions) -> Arc<Poster> {
        let account =
            Account { options, orders: Vec::new(), next_id: 1950, next_line: 1, last_ms: 0, modifiers: Vec::new() };
        Arc::new(Poster { gate: Gate::new("poster", ground), ground: ground.clone(), state: Mutex::new(account) })
    }

    /// The account's HTTP face; paths are `/api/{section.method}`.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(receive).with_state(Arc::clone(self))
    }

    /// Changes what a second close gets.
    pub fn set_second_close(&self, answer: SecondClose) {
        self.account().options.second_close = answer;
    }

    /// Changes how errors look.
    pub fn set_error_form(&self, form: ErrorForm) {
        self.account().options.error_form = form;
    }

    /// A waiter opens an order with dishes of the menu (`product`, count); unknown products are left out.
    pub fn open_order(&self, table: u64, waiter: &str, lines: &[(u64, u32)]) -> u64 {
        let user = WAITERS.iter().position(|name| *name == waiter).unwrap_or(0);
        let now = self.ground.clock.wall();
        let mut account = self.account();
        let seen_from = self.ground.clock.now().plus(account.options.register_lag);
        let id = account.open(table, u64::try_from(user).unwrap_or(0) + 1, 2, now);
        for (product, count) in lines {
            let Some(dish) = find_dish(*product) else { continue };
            for _ in 0..*count {
                account.add(id, dish, None, "", now);
            }
        }
        if let Some(order) = account.find(id) {
            waiter.clone_into(&mut order.view.waiter);
            order.seen_from = seen_from;
        }
        drop(account);
        self.gate.touch();
        id
    }

    /// A waiter adds a dish to an open order.
    pub fn add_dish(&self, id: u64, product: u64) -> bool {
        self.add_dish_with(id, product, "")
    }

    /// The same with modifiers, one comma-joined text as Poster shows them: `без лука, острый`.
    pub fn add_dish_with(&self, id: u64, product: u64, modifiers: &str) -> bool {
        let now = self.ground.clock.wall();
        let is_added = {
            let mut account = self.account();
            let is_open = account.find(id).is_some_and(|order| order.view.status == 1);
            find_dish(product)
                .filter(|_| is_open)
                .and_then(|dish| account.add(id, dish, None, modifiers, now))
                .is_some()
        };
        self.gate.touch();
        is_added
    }

    /// A waiter adds a dish at a price of his own, in tiyn: a discount leaves sums that no terminal takes.
    pub fn add_dish_at(&self, id: u64, product: u64, price: i64) -> bool {
        let now = self.ground.clock.wall();
        let is_added = {
            let mut account = self.account();
            let is_open = account.find(id).is_some_and(|order| order.view.status == 1);
            find_dish(product)
                .filter(|_| is_open)
                .and_then(|dish| account.add(id, dish, Some(price), "", now))
                .is_some()
        };
        self.gate.touch();
        is_added
    }

    /// A waiter sets the count of a dish of an open order; 0 takes it off.
    pub fn set_count(&self, id: u64, product: u64, count: u32) -> bool {
        let now = self.ground.clock.wall();
        let is_set = self.account().find(id).is_some_and(|order| order.set_count(product, count, now).is_ok());
        self.gate.touch();
        is_set
    }

    /// A cashier closes the order at the register (F24).
    pub fn close_by_hand(&self, id: u64, how: ByHand) -> bool {
        let now = self.ground.clock.wall();
        let is_closed = self.account().find(id).filter(|order| order.view.status == 1).map(|order| {
            let due = order.view.due;
            let (cash, card) = match how {
                ByHand::Cash => (due, Tiyn::ZERO),
                ByHand::Card => (Tiyn::ZERO, due),
            };
            order.close([cash, card, Tiyn::ZERO], 0, now);
            order.view.is_closed_by_hand = true;
        });
        self.gate.touch();
        is_closed.is_some()
    }

    /// A manager removes the order.
    pub fn remove(&self, id: u64) -> bool {
        let is_removed = self.account().find(id).map(|order| order.view.status = 3).is_some();
        self.gate.touch();
        is_removed
    }

    /// All orders, oldest first.
    pub fn orders(&self) -> Vec<OrderView> {
        self.account().orders.iter().map(|order| order.view.clone()).collect()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, method: &str, ask: &Ask) -> Response {
        let form = self.account().options.error_form;
        match self.admit(ask).and_then(|()| self.dispatch(method, ask)) {
            Ok(response) => json(200, &object!({"response": response})),
            Err((code, message)) => {
                self.gate.complain(format!("{method} refused with {code}: {message}"));
                json(200, &failure(form, code, message))
            }
        }
    }

    fn admit(&self, ask: &Ask) -> Result<(), Trouble> {
        let token = ask.param("token").filter(|token| !token.is_empty()).ok_or(NO_TOKEN)?;
        if token == self.account().options.token { Ok(()) } else { Err(BAD_TOKEN) }
    }

    fn dispatch(&self, method: &str, ask: &Ask) -> Result<Value, Trouble> {
        let params = parameters(ask)?;
        let known = known_parameters(method).ok_or(NO_METHOD)?;
        let is_write = method.starts_with("transactions.") && method != "transactions.getTransactions";
        if ask.method != if is_write { Method::POST } else { Method::GET } {
            return Err(NO_METHOD);
        }
        // In a form a list is written `products[0][product_id]`.
        let bare = |name: &str| name.split('[').next().unwrap_or_default().to_owned();
        for name in params.keys().filter(|name| !known.contains(&bare(name).as_str())) {
            self.gate.complain(format!("unknown parameter {name} in {method}"));
        }
        let params = &params;
        match method {
            "dash.getTransactions" => self.list(params),
            "dash.getTransaction" => self.one(params),
            "dash.getTransactionProducts" => self.read(params, Order::products),
            "dash.getTransactionHistory" => self.read(params, Order::told_history),
            "transactions.createTransaction" => self.create(params),
            "transactions.addTransactionProduct" => self.add_product(params),
            "transactions.changeTransactionProductCount" => self.change_count(params),
            "transactions.removeTransactionProduct" => self.remove_product(params),
            "transactions.changeComment" => self.change_comment(params),
            "transactions.changeFiscalStatus" => self.change_fiscal(params),
            "transactions.closeTransaction" => self.close(params),
            "transactions.removeTransaction" => self.remove_order(params),
            _ => {
                let options = self.account().options.clone();
                let (spot, tablet) = (options.spot_id.to_string(), options.spot_tablet_id.to_string());
                let company = options.token.split(':').next().unwrap_or_default();
                dictionary(method, company, &spot, &tablet).ok_or(NO_METHOD)
            }
        }
    }

    fn list(&self, params: &Params) -> Result<Value, Trouble> {
        let account = self.account();
        let status = number(params, "status")?.unwrap_or(0);
        let from = day(params, "dateFrom")?;
        let to = day(params, "dateTo")?;
        if from.is_none() || to.is_none() {
            self.gate.complain("dash.getTransactions without dateFrom and dateTo reads a whole month");
        }
        if params.contains_key("type") != params.contains_key("id") {
            return Err(MISSING);
        }
        let kind = text(params, "type").unwrap_or_default();
        let id = number(params, "id")?.unwrap_or_default();
        let is_flag = |name| text(params, name).is_some_and(|flag| flag == "true");
        let (with_products, with_history) = (is_flag("include_products"), is_flag("include_history"));
        let table = number(params, "table_id")?;
        let after = number(params, "next_tr")?;
        let spot = account.options.spot_id;
        let now = self.ground.clock.now();
        let is_wanted = |order: &&Order| {
            let shown = order.shown_day();
            order.seen_from <= now
                && (status == 0 || status == i64::from(order.view.status))
                && from.as_ref().is_none_or(|from| shown >= *from)
                && to.as_ref().is_none_or(|to| shown <= *to)
                && table.is_none_or(|table| u64::try_from(table) == Ok(order.table_id))
                && after.is_none_or(|after| u64::try_from(after).is_ok_and(|after| order.view.id < after))
                && match kind.as_str() {
                    "spots" => id == spot,
                    "waiters" => u64::try_from(id) == Ok(order.user_id),
                    _ => kind.is_empty(),
                }
        };
        let found = account.orders.iter().rev().filter(is_wanted);
        Ok(found.map(|order| order.dash(spot, with_products, with_history)).collect())
    }

    fn one(&self, params: &Params) -> Result<Value, Trouble> {
        let is_flag = |name| text(params, name).is_some_and(|flag| flag == "true");
        let spot = self.account().options.spot_id;
        self.read(params, |order| object!([order.dash(spot, is_flag("include_products"), is_flag("include_history"))]))
    }

    fn read(&self, params: &Params, show: impl FnOnce(&Order) -> Value) -> Result<Value, Trouble> {
        let id = needed(params, "transaction_id")?;
        let mut account = self.account();
        let now = self.ground.clock.now();
        account.find(id).filter(|order| order.seen_from <= now).map(|order| show(order)).ok_or(NO_ID)
    }

    fn create(&self, params: &Params) -> Result<Value, Trouble> {
        let mut account = self.account();
        account.check_register(params)?;
        let table = needed(params, "table_id")?;
        let user = needed(params, "user_id")?;
        let guests = number(params, "guests_count")?.unwrap_or(1);
        if table > TABLES || user == 0 || user > 4 {
            return Err(NO_ID);
        }
        let now = self.time(params)?;
        let id = account.open(table, user, u64::try_from(guests).map_err(|_| BAD_VALUE)?, now);
        let opened = account.find(id).map(|order| order.opened.0).unwrap_or_default();
        Ok(object!({"transaction_id": id, "transaction_tablet_id": opened}))
    }

    fn add_product(&self, params: &Params) -> Result<Value, Trouble> {
        let (mut account, id, now) = self.open_for_change(params)?;
        let dish = find_dish(needed(params, "product_id")?).ok_or(NO_PRODUCT)?;
        let price = money(params, "price")?.map(|price| price.0);
        account.add(id, dish, price, "", now).map(|line| object!({"transaction_product": line})).ok_or(NO_RECEIPT)
    }

    fn change_count(&self, params: &Params) -> Result<Value, Trouble> {
        let (mut account, id, now) = self.open_for_change(params)?;
        let count = number(params, "count")?.ok_or(MISSING)?;
        let count = u32::try_from(count).map_err(|_| BELOW_ZERO)?;
        account.find(id).ok_or(NO_RECEIPT)?.set_count(needed(params, "product_id")?, count, now).map(|()| no_error())
    }

    fn remove_product(&self, params: &Params) -> Result<Value, Trouble> {
        let (mut account, id, now) = self.open_for_change(params)?;
        account.find(id).ok_or(NO_RECEIPT)?.set_count(needed(params, "product_id")?, 0, now).map(|()| no_error())
    }

    fn change_comment(&self, params: &Params) -> Result<Value, Trouble> {
        let (mut account, id, now) = self.open_for_change(params)?;
        let order = account.find(id).ok_or(NO_RECEIPT)?;
        order.comment = text(params, "comment").ok_or(MISSING)?;
        order.note("comment", [0, 0, 0], now, order.comment.clone().into());
        Ok(no_error())
    }

    /// Marks goods as registered elsewhere, or as given back; nothing is printed, and marking twice changes nothing.
    fn change_fiscal(&self, params: &Params) -> Result<Value, Trouble> {
        let mut account = self.account();
        account.check_register(params)?;
        let id = needed(params, "transaction_id")?;
        let is_return = match text(params, "fiscal_return").unwrap_or_default().as_str() {
            "" | "false" | "0" => false,
            "true" | "1" => true,
            _ => return Err(BAD_VALUE),
        };
        let products = listed(params, "products")?;
        let order = account.find(id).filter(|order| order.view.status != 3).ok_or(NO_ID)?;
        let mark = if is_return { 2 } else { 1 };
        // All are looked at before one is marked: half a mark would be worse than none.
        let places: Vec<usize> = products.iter().map(|one| order.marked(one)).collect::<Result<_, _>>()?;
        for (_, line) in order.lines.iter_mut().enumerate().filter(|(place, _)| places.contains(place)) {
            line.print_fiscal = mark;
        }
        order.view.print_fiscal = mark;
        Ok(no_error())
    }

    fn remove_order(&self, params: &Params) -> Result<Value, Trouble> {
        let id = needed(params, "transaction_id")?;
        let mut account = self.account();
        account.find(id).map(|order| order.view.status = 3).ok_or(NO_RECEIPT)?;
        Ok(no_error())
    }

    fn close(&self, params: &Params) -> Result<Value, Trouble> {
        let mut account = self.account();
        account.check_register(params)?;
        let id = needed(params, "transaction_id")?;
        let now = self.time(params)?;
        let paid = ["payed_cash", "payed_card", "payed_cert"].map(|name| money(params, name));
        let [cash, card, cert] = paid.map(|sum| sum.map(Option::unwrap_or_default));
        let paid = [cash?, card?, cert?];
        let reason = number(params, "reason")?.unwrap_or(0);
        if number(params, "payment_method_id")?.is_some_and(|method| !(1..=3).contains(&method)) {
            return Err(NO_ID);
        }
        let second_close = account.options.second_close;
        let order = account.find(id).ok_or(NO_RECEIPT)?;
        if order.view.status == 2 {
            self.gate.complain(format!("second close of order {id}"));
            return match second_close {
                SecondClose::NotFound => Err(NO_RECEIPT),
                SecondClose::NotSaved => Err(NOT_SAVED),
                SecondClose::Pretends => Ok(no_error()),
            };
        }
        if order.view.status != 1 {
            return Err(NO_RECEIPT);
        }
        let sum: Tiyn = paid.into_iter().sum();
        if sum != order.view.due || paid.iter().any(|part| part.0 < 0) {
            return Err(BAD_SUM);
        }
        if sum == Tiyn::ZERO && !(1..=3).contains(&reason) {
            return Err(MISSING);
        }
        order.close(paid, u64::try_from(reason).unwrap_or(0), now);
        if text(params, "print_fiscal").is_some_and(|flag| flag == "1" || flag == "true") {
            (order.view.fiscal_prints, order.view.print_fiscal) = (order.view.fiscal_prints + 1, 1);
        }
        Ok(no_error())
    }

    fn open_for_change(&self, params: &Params) -> Result<(MutexGuard<'_, Account>, u64, Wall), Trouble> {
        let mut account = self.account();
        account.check_register(params)?;
        let id = needed(params, "transaction_id")?;
        let now = self.time(params)?;
        let order = account.find(id).filter(|order| order.view.status == 1).ok_or(NO_RECEIPT)?;
        if now < order.opened && params.contains_key("time") {
            return Err(TOO_EARLY);
        }
        Ok((account, id, now))
    }

    fn time(&self, params: &Params) -> Result<Wall, Trouble> {
        Ok(number(params, "time")?.map_or_else(|| self.ground.clock.wall(), Wall))
    }
}

impl Account {
    /// The id of a text of modifiers; 0 for none.
    fn modification(&mut self, modifiers: &str) -> u64 {
        if modifiers.is_empty() {
            return 0;
        }
        let known = self.modifiers.iter().position(|known| known == modifiers);
        let place = known.unwrap_or_else(|| {
            self.modifiers.push(modifiers.to_owned());
            self.modifiers.len() - 1
        });
        u64::try_from(place).unwrap_or(u64::MAX - 1) + 1
    }

    fn find(&mut self, id: u64) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.view.id == id)
    }

    fn check_register(&self, params: &Params) -> Result<(), Trouble> {
        if number(params, "spot_id")?.ok_or(MISSING)? != self.options.spot_id {
            return Err(NO_SPOT);
        }
        let tablet = number(params, "spot_tablet_id")?.ok_or(MISSING)?;
        if tablet == self.options.spot_tablet_id { Ok(()) } else { Err(NO_ID) }
    }

    fn open(&mut self, table: u64, user: u64, guests: u64, now: Wall) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        // Two orders opened in one millisecond still have two names.
        self.last_ms = now.0.max(self.last_ms + 1);
        let opened = Wall(self.last_ms);
        let waiter =
            usize::try_from(user).ok().and_then(|user| WAITERS.get(user.wrapping_sub(1))).copied().unwrap_or("");
        let view = OrderView {
            id,
            number: id.to_string(),
            table: if table == 0 { String::new() } else { table.to_string() },
            waiter: waiter.to_owned(),
            status: 1,
            due: Tiyn::ZERO,
            closes: 0,
            is_closed_by_hand: false,
            payed_cash: Tiyn::ZERO,
            payed_card: Tiyn::ZERO,
            lines: Vec::new(),
            print_fiscal: 0,
            fiscal_prints: 0,
        };
        let mut order = Order {
            view,
            table_id: table,
            user_id: user,
            guests,
            opened,
            seen_from: Monotonic::default(),
            closed: None,
            payed_cert: Tiyn::ZERO,
            reason: 0,
            comment: String::new(),
            lines: Vec::new(),
            history: Vec::new(),
        };
        order.note("open", [user, table, 0], opened, Value::Null);
        self.orders.push(order);
        id
    }

    fn add(&mut self, id: u64, dish: Dish, price: Option<i64>, modifiers: &str, now: Wall) -> Option<u64> {
        let line_id = self.next_line;
        let modification = self.modification(modifiers);
        let order = self.find(id)?;
        let price = price.unwrap_or(dish.price);
        let line =
            match order.lines.iter_mut().find(|line| {
                line.dish.product == dish.product && line.price == price && line.modification == modification
            }) {
                Some(line) => {
                    line.count += 1;
                    line.changed = now;
                    line.id
                }
                None => {
                    order.lines.push(Line {
                        id: line_id,
                        dish,
                        price,
                        count: 1,
                        changed: now,
                        modification,
                        modifiers: modifiers.to_owned(),
                        print_fiscal: 0,
                    });
                    line_id
                }
            };
        order.note("additem", [dish.product, 0, modification], now, object!({"price": Tiyn(price).decimal()}));
        order.recount();
        self.next_line += 1;
        Some(line)
    }
}

impl Order {
    fn recount(&mut self) {
        self.view.due = self.lines.iter().map(Line::sum).sum();
        self.view.lines = self.lines.iter().map(|line| (line.dish.name.to_owned(), line.count)).collect();
    }

    fn set_count(&mut self, product: u64, count: u32, now: Wall) -> Result<(), Trouble> {
        if self.view.status != 1 {
            return Err(NO_RECEIPT);
        }
        let line = self.lines.iter_mut().find(|line| line.dish.product == product).ok_or(NOT_IN_RECEIPT)?;
        line.count = count;
        line.changed = now;
        self.lines.retain(|line| line.count > 0);
        let kind = if count == 0 { "deleteitem" } else { "changeitemcount" };
        self.note(kind, [product, u64::from(count), 0], now, Value::Null);
        self.recount();
        Ok(())
    }

    fn close(&mut self, [cash, card, cert]: [Tiyn; 3], reason: u64, now: Wall) {
        self.view.status = 2;
        self.view.closes += 1;
        self.view.payed_cash = cash;
        self.view.payed_card = card;
        self.payed_cert = cert;
        self.reason = reason;
        self.closed = Some(now);
        let payments = object!({"cash": cash.decimal(), "card": card.decimal(), "cert": cert.decimal()});
        let total = u64::try_from(self.view.due.0).unwrap_or(0);
        self.note("close", [self.pay_type(), total, 0], now, object!({"payments": payments}));
    }

    /// The line that a product of `changeFiscalStatus` means.
    fn marked(&self, product: &Params) -> Result<usize, Trouble> {
        let id = needed(product, "product_id")?;
        let modification = number(product, "modification_id")?.unwrap_or(0);
        let count = text(product, "count").ok_or(MISSING)?;
        let (whole, fraction) = count.split_once('.').unwrap_or((&count, ""));
        let count: u32 = whole.parse().ok().filter(|_| fraction.trim_end_matches('0').is_empty()).ok_or(BAD_VALUE)?;
        let is_it = |line: &Line| {
            line.dish.product == id && (modification == 0 || u64::try_from(modification) == Ok(line.modification))
        };
        let place = self.lines.iter().position(is_it).ok_or(NOT_IN_RECEIPT)?;
        let had: u32 = self.lines.iter().filter(|line| is_it(line)).map(|line| line.count).sum();
        if count == 0 || count > had { Err(BAD_VALUE) } else { Ok(place) }
    }

    fn pay_type(&self) -> u64 {
        match (self.view.payed_cash.0 > 0, self.view.payed_card.0 > 0) {
            (false, false) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (true, true) => 3,
        }
    }

    fn note(&mut self, kind: &str, [value, value2, value3]: [u64; 3], now: Wall, told: Value) {
        let number = self.history.len() + 1;
        self.history.push(object!({
            "history_id": format!("{}{number:03}", self.view.id), "type_history": kind, "spot_tablet_id": "1",
            "time": now.0.to_string(), "user_id": self.user_id.to_string(), "value": value.to_string(),
            "value2": value2.to_string(), "value3": value3.to_string(), "value_text": told,
        }));
    }

    fn shown_day(&self) -> String {
        shop_time(self.closed.unwrap_or(self.opened), "%Y%m%d")
    }

    fn dash(&self, spot: i64, with_products: bool, with_history: bool) -> Value {
        let view = &self.view;
        let payed = if view.status == 1 { view.due } else { Tiyn(view.payed_cash.0 + view.payed_card.0) };
        // Poster writes its own server's time here, three hours from UTC, unless told otherwise; only the milliseconds count.
        let close_text = self.closed.map(|closed| shop_time(closed.plus_ms(-2 * 3_600_000), "%Y-%m-%d %H:%M:%S"));
        let mut item = object!({
            "transaction_id": view.id.to_string(),
            "date_start": self.opened.0.to_string(),
            "date_start_new": self.opened.0.to_string(),
            "date_close": self.closed.map_or("0".to_owned(), |closed| closed.0.to_string()),
            "date_close_date": close_text.unwrap_or("0000-00-00 00:00:00".to_owned()),
            "status": view.status.to_string(),
            "guests_count": self.guests.to_string(),
            "spot_id": spot.to_string(),
            "table_id": self.table_id.to_string(),
            "table_name": view.table,
            "user_id": self.user_id.to_string(),
            "name": view.waiter,
            "client_id": "0",
            "client_firstname": null,
            "client_lastname": null,
            "client_phone": null,
            "transaction_comment": if self.comment.is_empty() { Value::Null } else { self.comment.clone().into() },
            "reason": self.reason.to_string(),
            "sum": view.due.0.to_string(),
            "discount": "0",
            "bonus": "0",
            "pay_type": self.pay_type().to_string(),
            "payed_sum": payed.0.to_string(),
            "payed_cash": view.payed_cash.0.to_string(),
            "payed_card": view.payed_card.0.to_string(),
            "payed_cert": self.payed_cert.0.to_string(),
            "payed_bonus": "0",
            "payed_third_party": "0",
            "payed_ewallet": "0",
            "round_sum": "0",
            "tip_sum": "0",
            "tips_card": "0",
            "tips_cash": "0",
            "tax_sum": "0",
            "print_fiscal": view.print_fiscal.to_string(),
            "service_mode": if self.table_id == 0 { "2" } else { "1" },
            "processing_status": if view.status == 1 { "10" } else { "60" },
        });
        if let Some(item) = item.as_object_mut() {
            if with_products {
                item.insert("products".to_owned(), self.lines.iter().map(Line::bare).collect());
            }
            if with_history {
                item.insert("history".to_owned(), self.history.iter().cloned().collect());
            }
        }
        item
    }

    fn products(&self) -> Value {
        self.lines.iter().rev().map(Line::full).collect()
    }

    /// The history of its own method: newest first, the text as JSON inside a string.
    fn told_history(&self) -> Value {
        let told = self.history.iter().rev().cloned().map(|mut entry| {
            let text = entry.get("value_text").map(Value::to_string).unwrap_or_default();
            if let Some(entry) = entry.as_object_mut() {
                entry.insert("value_text".to_owned(), text.into());
            }
            entry
        });
        told.collect()
    }
}

impl Line {
    fn sum(&self) -> Tiyn {
        Tiyn(self.price * i64::from(self.count))
    }

    fn bare(&self) -> Value {
        object!({
            "product_id": self.dish.product.to_string(), "modification_id": self.modification.to_string(), "num": self.count.to_string(),
            "product_price": self.price.to_string(), "payed_sum": self.sum().0.to_string(), "print_fiscal": self.print_fiscal.to_string(),
        })
    }

    fn full(&self) -> Value {
        object!({
            "product_id": self.dish.product.to_string(), "product_name": self.dish.name, "modification_id": self.modification.to_string(),
            "modificator_name": if self.modifiers.is_empty() { Value::Null } else { self.modifiers.clone().into() }, "weight_flag": "0", "num": format!("{}.0000000", self.count),
            "time": self.changed.0.to_string(), "workshop": self.dish.workshop.to_string(), "barcode": "",
            "product_code": "", "category_id": "1", "product_sum": self.sum().0.to_string(),
            "payed_sum": self.sum().0.to_string(), "discount": "0", "bonus_sum": "0", "cert_sum": "0", "round_sum": "0",
        })
    }
}

async fn receive(State(poster): State<Arc<Poster>>, request: Request) -> Response {
    let ask = match Ask::read(request).await {
        Ok(ask) => ask,
        Err(refusal) => return refusal,
    };
    let path = ask.path.clone();
    let Some(method) = path.strip_prefix("/api/") else {
        poster.gate.complain(format!("no such address: {path}"));
        return json(404, &failure(ErrorForm::Text, 30, "Not Found"));
    };
    poster.gate.pass(fault_call(method), async { poster.answer(method, &ask) }).await
}

/// The short name of a method for faults and tripwires.
fn fault_call(method: &str) -> &str {
    match method {
        "dash.getTransactions" => "list",
        "dash.getTransaction" => "read",
        "dash.getTransactionProducts" => "products",
        "dash.getTransactionHistory" => "history",
        "transactions.createTransaction" => "create",
        "transactions.addTransactionProduct" => "add",
        "transactions.closeTransaction" => "close",
        "transactions.removeTransaction" => "remove",
        "transactions.changeFiscalStatus" => "fiscal",
        other => other,
    }
}

fn known_parameters(method: &str) -> Option<&'static [&'static str]> {
    Some(match method {
        "dash.getTransactions" => &[
            "dateFrom",
            "dateTo",
            "status",
            "type",
            "id",
            "table_id",
            "service_mode",
            "courier_id",
            "include_products",
            "include_history",
            "include_delivery",
            "next_tr",
            "timezone",
        ],
        "dash.getTransaction" => {
            &["transaction_id", "include_products", "include_history", "include_delivery", "timezone"]
        }
        "dash.getTransactionProducts" | "dash.getTransactionHistory" => &["transaction_id"],
        "transactions.createTransaction" => {
            &["spot_id", "spot_tablet_id", "time", "table_id", "user_id", "guests_count", "service_mode"]
        }
        "transactions.addTransactionProduct" | "transactions.removeTransactionProduct" => {
            &["spot_id", "spot_tablet_id", "time", "transaction_id", "product_id", "price", "guest_number"]
        }
        "transactions.changeTransactionProductCount" => {
            &["spot_id", "spot_tablet_id", "time", "transaction_id", "product_id", "count", "guest_number"]
        }
        "transactions.changeComment" => &["spot_id", "spot_tablet_id", "time", "transaction_id", "comment"],
        "transactions.changeFiscalStatus" => {
            &["spot_id", "spot_tablet_id", "time", "transaction_id", "fiscal_return", "products"]
        }
        "transactions.closeTransaction" => &[
            "spot_id",
            "spot_tablet_id",
            "time",
            "transaction_id",
            "payed_cash",
            "payed_card",
            "payed_cert",
            "reason",
            "print_fiscal",
            "tip_included",
            "tip_sum",
            "payment_method_id",
            "acquirer_payments",
        ],
        "transactions.removeTransaction" => &["spot_id", "spot_tablet_id", "time", "transaction_id", "user_id"],
        "menu.getProducts" => &["category_id", "type"],
        "menu.getCategories" => &["fiscal", "id_1c"],
        "spots.getTableHallTables" => &["spot_id", "hall_id", "without_deleted"],
        "settings.getPaymentMethods" => &["money_type", "payment_type"],
        "menu.getWorkshops"
        | "access.getSpots"
        | "spots.getSpots"
        | "access.getTablets"
        | "access.getEmployees"
        | "settings.getAllSettings" => &[],
        _ => return None,
    })
}

/// The query of a read, the query and the body (form or JSON) of a write, without the token.
fn parameters(ask: &Ask) -> Result<Params, Trouble> {
    let text_pair = |(name, value): (String, String)| (name, Value::String(value));
    let mut params: Params = ask.query.iter().cloned().map(text_pair).collect();
    params.remove("token");
    params.remove("format");
    if ask.is_of("application/json") && !ask.body.is_empty() {
        let body: Map<String, Value> = serde_json::from_slice(&ask.body).map_err(|_| (400, "Bad format"))?;
        params.extend(body);
    } else if !ask.body.is_empty() {
        params.extend(form_pairs(&ask.body).ok_or((400, "Bad format"))?.into_iter().map(text_pair));
    }
    Ok(params)
}

fn text(params: &Params, name: &str) -> Option<String> {
    match params.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(params: &Params, name: &str) -> Result<Option<i64>, Trouble> {
    text(params, name).map(|text| text.parse().map_err(|_| (701, "Must be an integer"))).transpose()
}

fn needed(params: &Params, name: &str) -> Result<u64, Trouble> {
    number(params, name)?.ok_or(MISSING).and_then(|number| u64::try_from(number).map_err(|_| BAD_VALUE))
}

/// A list of objects that is not empty: as JSON, or in a form's brackets.
fn listed(params: &Params, name: &str) -> Result<Vec<Params>, Trouble> {
    let mut items: Vec<Params> = match params.get(name) {
        Some(Value::Array(items)) => {
            let object = |item: &Value| item.as_object().map(|item| item.clone().into_iter().collect());
            items.iter().map(object).collect::<Option<_>>().ok_or(NO_LIST)?
        }
        Some(_) => return Err(NO_LIST),
        None => Vec::new(),
    };
    let mut bracketed: BTreeMap<String, Params> = BTreeMap::new();
    for (key, value) in params {
        let inner =
            key.strip_prefix(name).and_then(|rest| rest.strip_prefix('[')).and_then(|rest| rest.strip_suffix(']'));
        if let Some((place, member)) = inner.and_then(|inner| inner.split_once("][")) {
            bracketed.entry(place.to_owned()).or_default().insert(member.to_owned(), value.clone());
        }
    }
    items.extend(bracketed.into_values());
    if items.is_empty() { Err(MISSING) } else { Ok(items) }
}

/// A sum that was written in tenge.
fn money(params: &Params, name: &str) -> Result<Option<Tiyn>, Trouble> {
    text(params, name).map(|text| Tiyn::parse_tenge(&text).map_err(|_| BAD_VALUE)).transpose()
}

/// A day written as `Ymd`.
fn day(params: &Params, name: &str) -> Result<Option<String>, Trouble> {
    let is_day = |text: &String| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    text(params, name).map(|text| Some(text).filter(is_day).ok_or((400, "Bad format"))).transpose()
}

fn failure(form: ErrorForm, code: i64, message: &str) -> Value {
    match form {
        ErrorForm::Object => object!({"error": {"code": code, "message": message}}),
        ErrorForm::Number => object!({"error": code, "message": message}),
        ErrorForm::Text => object!({"error": message}),
    }
}

fn no_error() -> Value {
    object!({"err_code": 0})
}
