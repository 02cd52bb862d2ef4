//! What the sandbox restaurant is: its dishes, stations, waiters and tables, and the dictionaries that Poster answers about them
//! (Poster chapter §9): numbers as texts, prices in tiyn, the station per product.

use serde::Serialize;
use serde_json::{Value, json as object};

/// One dish of the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dish {
    /// Poster's id of it.
    pub product: u64,
    /// The name on the menu.
    pub name: &'static str,
    /// The station that makes it: 1 hot, 2 cold and bar.
    pub workshop: u64,
    /// Tiyn.
    pub price: i64,
}

const fn dish(product: u64, name: &'static str, workshop: u64, tenge: i64) -> Dish {
    Dish { product, name, workshop, price: tenge * 100 }
}

/// What the restaurant cooks.
pub const MENU: [Dish; 14] = [
    dish(1, "Бешбармақ", 1, 4900),
    dish(2, "Қуырдақ", 1, 3800),
    dish(3, "Лагман уйгурский", 1, 2900),
    dish(4, "Манты с бараниной, 5 шт.", 1, 2600),
    dish(5, "Плов праздничный", 1, 3100),
    dish(6, "Сорпа", 1, 1900),
    dish(7, "Шашлык из баранины", 1, 3400),
    dish(8, "Самса тандырная", 1, 950),
    dish(9, "Салат «Ачичук»", 2, 1500),
    dish(10, "Казы, нарезка", 2, 4200),
    dish(11, "Бауырсақ, 6 шт.", 2, 900),
    dish(12, "Қымыз 0,5 л", 2, 1600),
    dish(13, "Чай с молоком, чайник", 2, 1200),
    dish(14, "Компот домашний", 2, 800),
];

/// The employees of the outlet.
pub const WAITERS: [&str; 4] = ["Айгерім", "Ерлан", "Мария", "Тимур"];
/// Tables are numbered from 1.
pub const TABLES: u64 = 20;

/// The dish of a product id.
pub fn find_dish(product: u64) -> Option<Dish> {
    MENU.iter().find(|dish| dish.product == product).copied()
}

/// The answer to a method about the restaurant itself; none for any other method.
pub fn dictionary(method: &str, company: &str, spot: &str, tablet: &str) -> Option<Value> {
    Some(match method {
        "menu.getProducts" => MENU.iter().map(|dish| menu_product(dish, spot)).collect(),
        "menu.getWorkshops" => object!([
            {"workshop_id": "1", "workshop_name": "Горячий цех", "delete": "0"},
            {"workshop_id": "2", "workshop_name": "Холодный цех и бар", "delete": "0"},
        ]),
        "menu.getCategories" => object!([
            {"category_id": "1", "category_name": "Кухня", "parent_category": "0", "category_hidden": "0", "sort_order": "1",
             "level": "1"},
        ]),
        "access.getSpots" | "spots.getSpots" => {
            object!([{"spot_id": spot, "spot_name": "Дастархан", "spot_adress": "пр. Абая, 1", "storages": []}])
        }
        "access.getTablets" => object!([{"tablet_id": tablet, "tablet_name": "Касса", "spot_id": spot}]),
        "access.getEmployees" => (1..).zip(WAITERS).map(|(id, name)| employee(id, name)).collect(),
        "spots.getTableHallTables" => (1..=TABLES).map(|table| hall_table(table, spot)).collect(),
        "settings.getPaymentMethods" => object!([
            {"payment_method_id": 1, "title": "Наличные", "money_type": 1, "payment_type": 1, "is_active": 1},
            {"payment_method_id": 2, "title": "Карта", "money_type": 2, "payment_type": 2, "is_active": 1},
            {"payment_method_id": 3, "title": "Kaspi", "money_type": 2, "payment_type": 7, "is_active": 1},
        ]),
        "settings.getAllSettings" => object!({
            "COMPANY_ID": company, "company_name": "Дастархан",
            "company_type": "1", "uses_tables": "1", "timezones": "Asia/Almaty", "lang": "ru", "tip_amount": "0",
            "currency": {"currency_id": "5", "currency_name": "Тенге", "currency_code": "KZT", "currency_symbol": "₸",
                         "currency_code_iso": "KZT"},
        }),
        _ => return None,
    })
}

fn menu_product(dish: &Dish, spot: &str) -> Value {
    let price = dish.price.to_string();
    object!({
        "product_id": dish.product.to_string(), "product_name": dish.name, "type": "2", "menu_category_id": "1",
        "category_name": "Кухня", "workshop": dish.workshop.to_string(), "weight_flag": "0", "hidden": "0", "barcode": "",
        "product_code": "", "tax_id": "0", "fiscal": "1", "nodiscount": "0", "unit": "p", "cooking_time": "900",
        "price": {spot: price},
        "spots": [{"spot_id": spot, "price": price, "profit": "0", "visible": "1"}],
    })
}

fn employee(id: u64, name: &str) -> Value {
    object!({"user_id": id.to_string(), "name": name, "role_id": "1", "role_name": "Официант", "user_type": "0"})
}

fn hall_table(table: u64, spot: &str) -> Value {
    object!({
        "table_id": table.to_string(), "table_num": table.to_string(), "table_title": table.to_string(), "spot_id": spot,
        "hall_id": "1", "is_deleted": "0", "status": "1",
    })
}
