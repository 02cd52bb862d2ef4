CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    subject INTEGER NOT NULL,
    entry   TEXT    NOT NULL,
    hash    BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER journal_keeps BEFORE UPDATE ON journal BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_stays BEFORE DELETE ON journal BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;
CREATE TABLE orders (
    id         INTEGER PRIMARY KEY,
    source     TEXT    NOT NULL,
    foreign_id TEXT    NOT NULL,
    snapshot   TEXT    NOT NULL,
    due        INTEGER NOT NULL CHECK (due >= 0),
    closing    TEXT    NOT NULL CHECK (closing IN ('none', 'waiting', 'closing', 'closed', 'question')),
    created    INTEGER NOT NULL,
    seq        INTEGER NOT NULL REFERENCES journal (seq),
    UNIQUE (source, foreign_id)
) STRICT;
CREATE TABLE parts (
    id       INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    no       INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount > 0),
    paid     INTEGER NOT NULL DEFAULT 0 CHECK (paid >= 0),
    state    TEXT    NOT NULL CHECK (state IN ('open', 'collecting', 'paid', 'partially_paid', 'overpaid')),
    UNIQUE (order_id, no)
) STRICT;
CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY,
    part_id     INTEGER NOT NULL REFERENCES parts (id),
    no          INTEGER NOT NULL,
    tender      TEXT    NOT NULL,
    via         TEXT    NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    phone       TEXT,
    description TEXT    NOT NULL,
    bot         TEXT,
    state       TEXT    NOT NULL CHECK (state IN
                ('planned', 'sent', 'waiting', 'paid', 'failed', 'cancelled', 'expired', 'unresolved')),
    handle      TEXT,
    evidence    TEXT,
    late        INTEGER NOT NULL DEFAULT 0,
    reason      TEXT,
    watched     INTEGER NOT NULL DEFAULT 1,
    created     INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    seq         INTEGER NOT NULL REFERENCES journal (seq), external_id TEXT,
    UNIQUE (part_id, no),
    CHECK (state <> 'paid' OR evidence IS NOT NULL)
) STRICT;
CREATE INDEX attempts_watched ON attempts (via, id) WHERE watched = 1;
CREATE INDEX attempts_handle ON attempts (handle) WHERE handle IS NOT NULL;
CREATE TABLE keys (
    key     TEXT PRIMARY KEY,
    content TEXT    NOT NULL,
    attempt INTEGER NOT NULL REFERENCES attempts (id)
) STRICT, WITHOUT ROWID;
CREATE TABLE inbox (
    id        INTEGER PRIMARY KEY,
    door      TEXT    NOT NULL,
    event_key TEXT    NOT NULL,
    headers   TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    received  INTEGER NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('matched', 'orphan', 'unreadable', 'settled')),
    attempt   INTEGER REFERENCES attempts (id),
    handle    TEXT,
    status    TEXT,
    amount    INTEGER,
    UNIQUE (door, event_key)
) STRICT;
CREATE INDEX inbox_orphans ON inbox (id) WHERE state = 'orphan';
CREATE TABLE jobs (
    id       INTEGER PRIMARY KEY,
    kind     TEXT    NOT NULL CHECK (kind IN ('close', 'print', 'notify')),
    target   TEXT    NOT NULL,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    attempt  INTEGER REFERENCES attempts (id),
    document TEXT    NOT NULL,
    no       INTEGER NOT NULL,
    state    TEXT    NOT NULL CHECK (state IN
             ('queued', 'sending', 'sent', 'confirmed', 'suspect', 'held', 'done', 'question')),
    tries    INTEGER NOT NULL DEFAULT 0,
    body     TEXT    NOT NULL,
    reason   TEXT,
    created  INTEGER NOT NULL,
    seq      INTEGER NOT NULL REFERENCES journal (seq), instead INTEGER REFERENCES jobs (id), wanted INTEGER,
    UNIQUE (order_id, kind, target, document, no)
) STRICT;
CREATE TABLE questions (
    id       INTEGER PRIMARY KEY,
    code     TEXT    NOT NULL,
    order_id INTEGER REFERENCES orders (id),
    attempt  INTEGER REFERENCES attempts (id),
    inbox    INTEGER REFERENCES inbox (id),
    args     TEXT    NOT NULL,
    asked    INTEGER NOT NULL,
    answered INTEGER,
    who      TEXT,
    because  TEXT,
    outcome  TEXT,
    seq      INTEGER NOT NULL REFERENCES journal (seq)
, refund INTEGER REFERENCES refunds (id)) STRICT;
CREATE INDEX questions_open ON questions (id) WHERE answered IS NULL;
CREATE INDEX questions_attempt ON questions (attempt) WHERE attempt IS NOT NULL AND answered IS NULL;
CREATE TABLE vault (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE refunds (
    id         INTEGER PRIMARY KEY,
    attempt    INTEGER NOT NULL REFERENCES attempts (id),
    no         INTEGER NOT NULL,
    way        TEXT    NOT NULL CHECK (way IN ('terminal', 'cash', 'by_hand')),
    via        TEXT    NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    who        TEXT    NOT NULL,
    because    TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN
               ('planned', 'sent', 'waiting', 'done', 'failed', 'cancelled', 'unresolved')),
    handle     TEXT,
    proof      TEXT,
    late       INTEGER NOT NULL DEFAULT 0,
    reason     TEXT,
    watched    INTEGER NOT NULL DEFAULT 1,
    key        TEXT UNIQUE,
    content    TEXT,
    created    INTEGER NOT NULL,
    changed    INTEGER NOT NULL,
    seq        INTEGER NOT NULL REFERENCES journal (seq),
    UNIQUE (attempt, no),
    CHECK ((state = 'done') = (proof IS NOT NULL)),
    CHECK ((key IS NULL) = (content IS NULL))
) STRICT;
CREATE INDEX refunds_watched ON refunds (via, id) WHERE watched = 1;
CREATE INDEX questions_refund ON questions (refund) WHERE refund IS NOT NULL AND answered IS NULL;
CREATE INDEX orders_unclosed ON orders (id) WHERE closing = 'none' AND source = 'pos';
CREATE INDEX attempts_created ON attempts (created);
CREATE INDEX jobs_instead ON jobs (instead) WHERE instead IS NOT NULL;
CREATE INDEX jobs_open ON jobs (target, id)
 WHERE state IN ('queued', 'sending', 'suspect', 'held') AND coalesce(reason ->> '$.code', '') <> 'one_way';
CREATE INDEX jobs_unseen ON jobs (seq) WHERE state = 'suspect' AND coalesce(reason ->> '$.code', '') = 'one_way';
INSERT INTO meta VALUES ('shop', 'K7H2M');
INSERT INTO journal VALUES (1, 1795237200000, 'order', 1, '{"due":700000,"order":"1950","source":"pos","state":"none"}', X'6300C874C1D16E949C21F27DA1B6A9989F8AB3153A6E7AE417C9D5ABFE6174DF');
INSERT INTO journal VALUES (10, 1795237209000, 'job', 3, '{"document":"receipt","kind":"print","state":"queued","target":"receipt"}', X'A1F71EA776B56392E9E8EDE318962E05300412BEF7710CE441946047F2FC866B');
INSERT INTO journal VALUES (11, 1795237210000, 'job', 3, '{"reason":null,"state":"confirmed","tries":1}', X'F78F68902B5ADB179614DF76067BF32B350173E31643CC78585482700883C1CA');
INSERT INTO journal VALUES (12, 1795237211000, 'order', 2, '{"due":900000,"order":"1951","source":"pos","state":"none"}', X'6BBD7AAA9894E751E6EA96A7146281721D66FDF6240430F5ECA51875B3B3FBAC');
INSERT INTO journal VALUES (13, 1795237212000, 'attempt', 2, '{"amount":900000,"state":"planned","tender":"kaspi_terminal","via":"till1"}', X'6C755483A8C1A2142E7B75D3117F94F42CBFF84E72048FE94061287C8FDC7BE5');
INSERT INTO journal VALUES (14, 1795237213000, 'attempt', 2, '{"state":"sent","was":"planned"}', X'C1F690659294ACFDCF616AAEAF56FF036BDAB9B30DE0114E40948B7A3D3CCCED');
INSERT INTO journal VALUES (15, 1795237214000, 'attempt', 2, '{"reason":{"code":"terminal_failed","detail":""},"state":"failed","was":"sent"}', X'4DF1D8D07A23378328B13A075F8565FE5C01B43E791A234E9AC01CB86611D091');
INSERT INTO journal VALUES (16, 1795237215000, 'attempt', 3, '{"amount":900000,"state":"planned","tender":"kaspi_terminal","via":"till1"}', X'C022BC195B993E736A2777F4D5359A6218E2E38483DACD2E797A9FA49287974F');
INSERT INTO journal VALUES (17, 1795237216000, 'attempt', 3, '{"state":"sent","was":"planned"}', X'2F4B0DB794C4E18E3A840A12D9542568640BB875619CCE8B81792149236D055E');
INSERT INTO journal VALUES (18, 1795237217000, 'attempt', 3, '{"reason":{"code":"cancelled","detail":""},"state":"cancelled","was":"sent"}', X'E53992A2F2885E57690DA29C80BA8D14C5A063EF5E5A3D8E75AF6868992D88A3');
INSERT INTO journal VALUES (19, 1795237218000, 'attempt', 4, '{"amount":900000,"state":"planned","tender":"kaspi_invoice","via":"aipay"}', X'EBE6AF51586DB5C632E2D4A71B13F9187D632C3685F62C24697238145B6585C2');
INSERT INTO journal VALUES (2, 1795237201000, 'order', 1, '{"state":"closed","why":"paid"}', X'80D9ACA83C3CD44B201345F9C6C576EE43DC39A15A86E681AE85D49E6B72B979');
INSERT INTO journal VALUES (20, 1795237219000, 'attempt', 4, '{"state":"sent","was":"planned"}', X'A44CC23AB6D03506659736F74BBBCBE83D9B13BA52214C3AF011AE16BB21827C');
INSERT INTO journal VALUES (21, 1795237220000, 'attempt', 4, '{"reason":{"code":"expired","detail":""},"state":"expired","was":"sent"}', X'5465F949F198878CB8EF917CD86123848DE526E10E4EC09C7B3C852E2EAD8833');
INSERT INTO journal VALUES (22, 1795237221000, 'attempt', 5, '{"amount":900000,"state":"planned","tender":"kaspi_terminal","via":"till1"}', X'987802DF1B522345ECA48F17246190937E9062367E6076E59FE2A87FDFC0539B');
INSERT INTO journal VALUES (23, 1795237222000, 'attempt', 5, '{"state":"sent","was":"planned"}', X'EF79E1991CFD282461F6713E71CD49C8D37C5811DF38FA78D5F2DDB9869FAC88');
INSERT INTO journal VALUES (24, 1795237223000, 'attempt', 5, '{"state":"waiting","was":"sent"}', X'350A855C7B9EC11962F2A108D6293D08604B7833C0C1D5A19465987D3ABEC088');
INSERT INTO journal VALUES (25, 1795237224000, 'order', 3, '{"due":450000,"order":"A-1","source":"api","state":"none"}', X'CEC744B1ABF5D89BE705D96237DC529057B7853864CCF2D6B927B43AA3F450C7');
INSERT INTO journal VALUES (26, 1795237225000, 'attempt', 6, '{"amount":450000,"state":"planned","tender":"kaspi_terminal","via":"till1"}', X'747AA24E75965ACE3E1ABCF57201BA401D353457DEA34AE56AE3541245A709B0');
INSERT INTO journal VALUES (27, 1795237226000, 'attempt', 6, '{"state":"sent","was":"planned"}', X'510062FE0680B7D0CBE6AEA823D8673EED1457FB225666584F3C288479FA7C35');
INSERT INTO journal VALUES (28, 1795237227000, 'attempt', 6, '{"reason":{"code":"link_lost","detail":""},"state":"unresolved","was":"sent"}', X'C9E5BDC3CDFC8DB5D451E7864DAA1F5FB8CE30D453E67103D634786EC2042CB1');
INSERT INTO journal VALUES (29, 1795237228000, 'question', 1, '{"args":[["amount","4 500"]],"code":"unresolved","state":"open"}', X'62691479468D2D7654ACFFB22B74580676568E92E411A6E4FED92F360B75BC36');
INSERT INTO journal VALUES (3, 1795237202000, 'attempt', 1, '{"amount":700000,"state":"planned","tender":"kaspi_terminal","via":"till1"}', X'740DB1BE945CE267FCDF27856F89F5DB0CB0E39EBB6D5842C0ECA06FA6A1761F');
INSERT INTO journal VALUES (30, 1795237229000, 'order', 4, '{"due":500000,"order":"telegram-77","source":"bot:telegram","state":"none"}', X'9072F164945D2FA3CF21F8768FABBBD27FDC46C1E96BEB994946D4730EB83BF9');
INSERT INTO journal VALUES (31, 1795237230000, 'attempt', 7, '{"amount":500000,"state":"planned","tender":"kaspi_invoice","via":"aipay"}', X'8023E962F24110AA87D128ECAD0EC3C9EC44156CBAC595DAABD0FA9CC259509D');
INSERT INTO journal VALUES (32, 1795237231000, 'attempt', 7, '{"state":"sent","was":"planned"}', X'E6B28ED658A841EEA801A86A204FA2270AF4F2B95353DE1387B7350D0701F769');
INSERT INTO journal VALUES (33, 1795237232000, 'attempt', 7, '{"evidence":{"amount":500000,"detail":"","method":"qr","source":"terminal","transaction":"123456789012"},"state":"paid","was":"sent"}', X'7DA74179E20E38F189052EDAC15F0CEC7B6DFE7264EF952A9321DA7FFE15FE5A');
INSERT INTO journal VALUES (34, 1795237233000, 'job', 4, '{"document":"paid:7","kind":"notify","state":"queued","target":"telegram"}', X'BE27C7D1B6BE7AA02519E59F71EA8CF7732FDCAC8AF5364DBA57894C8CA4612A');
INSERT INTO journal VALUES (35, 1795237234000, 'job', 4, '{"reason":null,"state":"done","tries":1}', X'883572C5F1A71285A278481154394D91AA11B908F9099A604703F4B73DB1C0A1');
INSERT INTO journal VALUES (36, 1795237235000, 'job', 5, '{"document":"receipt","kind":"print","state":"queued","target":"receipt"}', X'ADA132DE437359358657C15FFFF2457AAAE273C83D84D7EA642B696B065A8B59');
INSERT INTO journal VALUES (37, 1795237236000, 'job', 5, '{"reason":null,"state":"suspect","tries":1}', X'823132178561951AE670AF9562BB613AB8EF6F9BE94E88F8D841E24BD85739F4');
INSERT INTO journal VALUES (38, 1795237237000, 'job', 6, '{"document":"ticket:Горячий цех","kind":"print","state":"queued","target":"hot"}', X'147F642CF87F73B23266B3AB5DED7611879C19BA8B48FC70BEB6241B30F38518');
INSERT INTO journal VALUES (39, 1795237238000, 'job', 6, '{"reason":null,"state":"held","tries":1}', X'2F7697504F14DF1B2C0563CDD9999637BE21A9D912650752C6D78799AC05E536');
INSERT INTO journal VALUES (4, 1795237203000, 'attempt', 1, '{"state":"sent","was":"planned"}', X'EE587C8C1BCA4BFDA36C4A66325D0F04867DCB241BA9319E3CACCA899AB87152');
INSERT INTO journal VALUES (40, 1795237239000, 'inbox', 1, '{"door":"aipay","event":"event-1","state":"matched"}', X'470F2D29402D744994B3EA7B806DAA260A6AF0ECA69729649CBCE380BC9090EE');
INSERT INTO journal VALUES (41, 1795237240000, 'order', 5, '{"due":120000,"order":"telegram-78","source":"bot:telegram","state":"none"}', X'547D70044DC979244032B9DB2E5EE584D9253D16AE71B6D436D0BC93A24325B4');
INSERT INTO journal VALUES (42, 1795237241000, 'attempt', 8, '{"amount":120000,"state":"planned","tender":"kaspi_invoice","via":"aipay"}', X'63B0AD0628C6E92DC9071CD531A0951C81B8443EB2433B2F050FD409CD8A4B0A');
INSERT INTO journal VALUES (43, 1795237242000, 'order', 6, '{"due":330000,"order":"1952","source":"pos","state":"none"}', X'91F5E9489ADA7485DC95A72A503D6646FDACD55E2C0097CC882E55FE128D5651');
INSERT INTO journal VALUES (44, 1795237243000, 'attempt', 9, '{"amount":330000,"state":"planned","tender":"kaspi_invoice","via":"aipay"}', X'4DE69AA442018DADCE52C6A38625D88F14F5562ADBFC98F0A28AC02B4DB48EC1');
INSERT INTO journal VALUES (45, 1795237244000, 'attempt', 9, '{"state":"sent","was":"planned"}', X'503FFCAB5C5BE6289B8398C7187C8CE9EFDAFEBDDEE579C0823B48D36249E1A9');
INSERT INTO journal VALUES (46, 1795237245000, 'attempt', 9, '{"state":"sent","was":"sent"}', X'C9D1934E4ACB750D1BB837BF3624FFC30EA22F414EDF6F5C20625D2B70AD4375');
INSERT INTO journal VALUES (47, 1795237246000, 'order', 7, '{"due":210000,"order":"1953","source":"pos","state":"none"}', X'C4F4A8010F7E41D682098A7442098F4572B6E1AF382743EC54E7822DA73CA439');
INSERT INTO journal VALUES (48, 1795237247000, 'order', 7, '{"state":"question","why":"paid"}', X'36878778946E8616DD7DD1BFF2C32082A127C81D622CFEA3B058F7B4D30D0D1A');
INSERT INTO journal VALUES (49, 1795237248000, 'attempt', 10, '{"amount":210000,"state":"planned","tender":"kaspi_terminal","via":"till1"}', X'E383AAA49BD832643C66084302D496EEC3C62993A5395A7C228EF4A093EBC533');
INSERT INTO journal VALUES (5, 1795237204000, 'attempt', 1, '{"evidence":{"amount":700000,"detail":"","method":"qr","source":"terminal","transaction":"123456789012"},"state":"paid","was":"sent"}', X'BDF0D0FDBC84F959BA0D3E717D5E2167962C0425B3A8D0AA30E9EF2FE80CA027');
INSERT INTO journal VALUES (50, 1795237249000, 'attempt', 10, '{"state":"sent","was":"planned"}', X'552924D3AC7078FF959671B29D338BD08E51AEE9A649AF55F3D82A2D76E0BBEC');
INSERT INTO journal VALUES (51, 1795237250000, 'attempt', 10, '{"evidence":{"amount":210000,"detail":"","method":"qr","source":"terminal","transaction":"123456789012"},"state":"paid","was":"sent"}', X'36DB83A54F153CC2F655D7BECABABC17AB0861085E54C43CC5BD8667A61E3B0E');
INSERT INTO journal VALUES (52, 1795237251000, 'job', 7, '{"document":"close","kind":"close","state":"queued","target":"poster"}', X'FDD818450AA4981F6D57B1039A747F80E01526DF516894BA40FBD1C2A3D1A293');
INSERT INTO journal VALUES (53, 1795237252000, 'job', 7, '{"reason":null,"state":"question","tries":1}', X'C29564131732EF6F78E49D204E9C84F0EF3BF0148C05FB24884355ABC2B44D65');
INSERT INTO journal VALUES (54, 1795237253000, 'question', 2, '{"args":[["amount","4 500"]],"code":"order_changed","state":"open"}', X'D6DB92F344C33DA024FA239708B04AB31FE0ED66549B3C5BA33A1AD8EC7CC387');
INSERT INTO journal VALUES (55, 1795237254000, 'question', 2, '{"because":"ok","state":"done","who":"Айгерім"}', X'CC253D5561C57491345443CA34B3E49711CEBCF7DF1D7CC96EF8ABB3D978483F');
INSERT INTO journal VALUES (56, 1795237255000, 'order', 8, '{"due":150000,"order":"1954","source":"pos","state":"none"}', X'2A00A6F888BC8684238F9388AF77F6D4F8E32DDA354345968ECB9131A412FCCC');
INSERT INTO journal VALUES (57, 1795237256000, 'order', 8, '{"state":"closing","why":"paid"}', X'B400D654454E30B035EE27A64899C01DE49601EC226938708536E7000EBC6DD9');
INSERT INTO journal VALUES (58, 1795237257000, 'attempt', 11, '{"amount":150000,"state":"planned","tender":"kaspi_terminal","via":"till1"}', X'2ADBBF15FEF512CD3E53782D106534D382E0EB57B8BF71D8C0B6BD6D16EDE996');
INSERT INTO journal VALUES (59, 1795237258000, 'attempt', 11, '{"state":"sent","was":"planned"}', X'9D1E87B90FF6694F1AA8DC11AD6923A2FB7178BD14241EE216093AD8D71DBA28');
INSERT INTO journal VALUES (6, 1795237205000, 'job', 1, '{"document":"close","kind":"close","state":"queued","target":"poster"}', X'7F513B414E2D314C93BB8A9C4BBD11257BA070DD9837A3A7783411F77E0F0026');
INSERT INTO journal VALUES (60, 1795237259000, 'attempt', 11, '{"evidence":{"amount":150000,"detail":"","method":"qr","source":"terminal","transaction":"123456789012"},"state":"paid","was":"sent"}', X'08A232ADA27AE8F30026782A294AFBE5513195FBA85C2326464F6ED69B4789D4');
INSERT INTO journal VALUES (61, 1795237260000, 'job', 8, '{"document":"close","kind":"close","state":"queued","target":"poster"}', X'DB62D14DF3405DA74D3EF743593F3C15BB95E70256A5E54BA2F04FB191B45242');
INSERT INTO journal VALUES (62, 1795237261000, 'job', 8, '{"reason":null,"state":"sending","tries":1}', X'3955ACAF16C8BDA65A2241A16F9DA37E9C1D98BE5D190B978130170B1344EC80');
INSERT INTO journal VALUES (63, 1795237262000, 'job', 9, '{"document":"receipt","kind":"print","state":"queued","target":"receipt"}', X'B83B38FBFBB9C31B99CB62CAA9013FED7112F9F2EB86540BCDFDF7781917D2F0');
INSERT INTO journal VALUES (64, 1795237263000, 'inbox', 2, '{"door":"aipay","event":"event-2","state":"orphan"}', X'183D98C74EB751F20C382EF8C04623239AD8B0C9BAF3F13CE9E539D870D03778');
INSERT INTO journal VALUES (65, 1795237264000, 'inbox', 3, '{"door":"aipay","event":"event-3","state":"unreadable"}', X'6B8B2AA0C41931D90B42B53DA2C96480503974E83E63B2BF59B926A4A22A822E');
INSERT INTO journal VALUES (66, 1795237265000, 'inbox', 4, '{"door":"aipay","event":"event-4","state":"settled"}', X'00B65CD2D3FD9818D07F08517A3CC5159C0CF7143412AA5CD7425AB076244219');
INSERT INTO journal VALUES (67, 1795237266000, 'question', 3, '{"args":[["amount","4 500"]],"code":"unreadable","state":"open"}', X'CD034BC417BC5DA938FA2A9258BAC3122B5FA3DB746F8F87B7A41D6C192E858A');
INSERT INTO journal VALUES (68, 1795237267000, 'vault', 0, '{"name":"till1"}', X'1F746F4FCCD4BB1268A149FC7BAADACECC2BD14CCA5E9838381A54D32F4CE015');
INSERT INTO journal VALUES (69, 1795237268000, 'refund', 1, '{"amount":100000,"state":"planned"}', X'1C7D5BC2E2E0366CF717969D1F07E630EED688C53B3EE20E73ED4520AC990014');
INSERT INTO journal VALUES (7, 1795237206000, 'job', 1, '{"reason":null,"state":"done","tries":1}', X'BFBE4F61C8CB788E28C777509D0C6A80CA9E96D854298459F056D54B2246CA1D');
INSERT INTO journal VALUES (70, 1795237269000, 'refund', 1, '{"state":"done","was":"planned"}', X'EF2ECACC22F3C4ADE137BED2F53BCE696B590DC69D8FED47E115467BFDA0DBB7');
INSERT INTO journal VALUES (71, 1795237270000, 'refund', 2, '{"amount":50000,"state":"planned"}', X'860545A7B637964051DB583EBF82B87C50B5D15A7ECA72FA5A94B64373C17B46');
INSERT INTO journal VALUES (72, 1795237271000, 'refund', 2, '{"state":"unresolved","was":"planned"}', X'5B1A8056F72C23985CA8D3C552DC9305D2F9C57C215EFE3B9A3AF153EE3C04E5');
INSERT INTO journal VALUES (73, 1795237272000, 'question', 4, '{"args":[],"code":"refund_unclear","state":"open"}', X'651D83F63E84932A776A593ACA9BC24CADDEC80AA610A5FDD886758A1AED5E1C');
INSERT INTO journal VALUES (74, 1795237273000, 'job', 10, '{"document":"receipt","kind":"print","state":"queued","target":"bar"}', X'4DD968946A94AD09B60A5393E72702FF22F7D35803177D9FBF6423034E66EB03');
INSERT INTO journal VALUES (75, 1795237274000, 'job', 10, '{"reason":null,"state":"confirmed","tries":1}', X'322F097CA5E6F76A977D5888A7302E574EBFA97821F41068C9AF23A2F4399F69');
INSERT INTO journal VALUES (8, 1795237207000, 'job', 2, '{"document":"ticket:Горячий цех","kind":"print","state":"queued","target":"hot"}', X'1BC401FBE2B59A86A32B836174EB1DA7DCF9D798964CB461068E6AF733FB233C');
INSERT INTO journal VALUES (9, 1795237208000, 'job', 2, '{"reason":null,"state":"sent","tries":1}', X'AE8BBDFEC781FE78F93D4B4916B493EF18FEAC430E584D04CEB0AB27E3560E43');
INSERT INTO orders VALUES (1, 'pos', '1950', '{"comment":"","due":700000,"foreign_id":"1950","lines":[{"key":"3","name":"Лагман","quantity":1000,"sum":700000,"workshop":"1"}],"number":"1950","table":"5","waiter":"Мария"}', 700000, 'closed', 1795237200000, 2);
INSERT INTO orders VALUES (2, 'pos', '1951', '{"comment":"","due":900000,"foreign_id":"1951","lines":[{"key":"3","name":"Лагман","quantity":1000,"sum":900000,"workshop":"1"}],"number":"1951","table":"5","waiter":"Мария"}', 900000, 'none', 1795237200000, 12);
INSERT INTO orders VALUES (3, 'api', 'A-1', '{"comment":"","due":450000,"foreign_id":"A-1","lines":[{"key":"3","name":"Лагман","quantity":1000,"sum":450000,"workshop":"1"}],"number":"A-1","table":"5","waiter":"Мария"}', 450000, 'none', 1795237200000, 25);
INSERT INTO orders VALUES (4, 'bot:telegram', 'telegram-77', '{"comment":"","due":500000,"foreign_id":"telegram-77","lines":[{"key":"3","name":"Лагман","quantity":1000,"sum":500000,"workshop":"1"}],"number":"telegram-77","table":"5","waiter":"Мария"}', 500000, 'none', 1795237200000, 30);
INSERT INTO orders VALUES (5, 'bot:telegram', 'telegram-78', '{"comment":"","due":120000,"foreign_id":"telegram-78","lines":[{"key":"3","name":"Лагман","quantity":1000,"sum":120000,"workshop":"1"}],"number":"telegram-78","table":"5","waiter":"Мария"}', 120000, 'none', 1795237200000, 41);
INSERT INTO orders VALUES (6, 'pos', '1952', '{"comment":"","due":330000,"foreign_id":"1952","lines":[{"key":"3","name":"Лагман","quantity":1000,"sum":330000,"workshop":"1"}],"number":"1952","table":"5","waiter":"Мария"}', 330000, 'none', 1795237200000, 43);
INSERT INTO orders VALUES (7, 'pos', '1953', '{"comment":"","due":210000,"foreign_id":"1953","lines":[{"key":"3","name":"Лагман","quantity":1000,"sum":210000,"workshop":"1"}],"number":"1953","table":"5","waiter":"Мария"}', 210000, 'question', 1795237200000, 48);
INSERT INTO orders VALUES (8, 'pos', '1954', '{"comment":"","due":150000,"foreign_id":"1954","lines":[{"key":"3","name":"Лагман","quantity":1000,"sum":150000,"workshop":"1"}],"number":"1954","table":"5","waiter":"Мария"}', 150000, 'closing', 1795237200000, 57);
INSERT INTO parts VALUES (1, 1, 1, 700000, 700000, 'paid');
INSERT INTO parts VALUES (2, 2, 1, 900000, 0, 'collecting');
INSERT INTO parts VALUES (3, 3, 1, 450000, 0, 'collecting');
INSERT INTO parts VALUES (4, 4, 1, 500000, 500000, 'paid');
INSERT INTO parts VALUES (5, 5, 1, 120000, 0, 'collecting');
INSERT INTO parts VALUES (6, 6, 1, 330000, 0, 'collecting');
INSERT INTO parts VALUES (7, 7, 1, 210000, 210000, 'paid');
INSERT INTO parts VALUES (8, 8, 1, 150000, 150000, 'paid');
INSERT INTO attempts VALUES (1, 1, 1, 'kaspi_terminal', 'till1', 700000, NULL, 'Заказ', NULL, 'paid', '1795237200001', '{"amount":700000,"detail":"","method":"qr","source":"terminal","transaction":"123456789012"}', 0, NULL, 0, 1795237205000, 1795237205000, 5, NULL);
INSERT INTO attempts VALUES (10, 7, 1, 'kaspi_terminal', 'till1', 210000, NULL, 'Заказ', NULL, 'paid', '1795237200004', '{"amount":210000,"detail":"","method":"qr","source":"terminal","transaction":"123456789012"}', 0, NULL, 0, 1795237251000, 1795237251000, 51, NULL);
INSERT INTO attempts VALUES (11, 8, 1, 'kaspi_terminal', 'till1', 150000, NULL, 'Заказ', NULL, 'paid', '1795237200005', '{"amount":150000,"detail":"","method":"qr","source":"terminal","transaction":"123456789012"}', 0, NULL, 0, 1795237260000, 1795237260000, 60, NULL);
INSERT INTO attempts VALUES (2, 2, 1, 'kaspi_terminal', 'till1', 900000, NULL, 'Заказ', NULL, 'failed', '1795237200002', NULL, 0, '{"code":"terminal_failed","detail":""}', 0, 1795237215000, 1795237215000, 15, NULL);
INSERT INTO attempts VALUES (3, 2, 2, 'kaspi_terminal', 'till1', 900000, NULL, 'Заказ', NULL, 'cancelled', NULL, NULL, 0, '{"code":"cancelled","detail":""}', 0, 1795237218000, 1795237218000, 18, NULL);
INSERT INTO attempts VALUES (4, 2, 3, 'kaspi_invoice', 'aipay', 900000, '77011234567', 'Заказ', NULL, 'expired', 'inv_31', NULL, 0, '{"code":"expired","detail":""}', 0, 1795237221000, 1795237221000, 21, NULL);
INSERT INTO attempts VALUES (5, 2, 4, 'kaspi_terminal', 'till1', 900000, NULL, 'Заказ', NULL, 'waiting', '1795237200003', NULL, 0, NULL, 1, 1795237224000, 1795237224000, 24, NULL);
INSERT INTO attempts VALUES (6, 3, 1, 'kaspi_terminal', 'till1', 450000, NULL, 'Заказ', NULL, 'unresolved', NULL, NULL, 0, '{"code":"link_lost","detail":""}', 1, 1795237228000, 1795237228000, 28, NULL);
INSERT INTO attempts VALUES (7, 4, 1, 'kaspi_invoice', 'aipay', 500000, '77017654321', 'Заказ', 'telegram', 'paid', 'inv_32', '{"amount":500000,"detail":"","method":"qr","source":"terminal","transaction":"123456789012"}', 0, NULL, 0, 1795237233000, 1795237233000, 33, 'telegram-77');
INSERT INTO attempts VALUES (8, 5, 1, 'kaspi_invoice', 'aipay', 120000, '77017654321', 'Заказ', 'telegram', 'planned', NULL, NULL, 0, NULL, 1, 1795237242000, 1795237242000, 42, 'telegram-78');
INSERT INTO attempts VALUES (9, 6, 1, 'kaspi_invoice', 'aipay', 330000, '77011112233', 'Заказ', NULL, 'sent', NULL, NULL, 0, NULL, 1, 1795237246000, 1795237246000, 46, NULL);
INSERT INTO keys VALUES ('api:sale-1', '{}', 1);
INSERT INTO keys VALUES ('bot:telegram:telegram-78', '[]', 8);
INSERT INTO inbox VALUES (1, 'aipay', 'event-1', '{}', X'7B226576656E74223A2022696E766F6963652E7061696422FF7D', 1795237200000, 'matched', 7, 'inv_32', 'paid', 500000);
INSERT INTO inbox VALUES (2, 'aipay', 'event-2', '{}', X'7B226576656E74223A2022696E766F6963652E7061696422FF7D', 1795237200000, 'orphan', NULL, 'inv_99', 'paid', 500000);
INSERT INTO inbox VALUES (3, 'aipay', 'event-3', '{}', X'7B226576656E74223A2022696E766F6963652E7061696422FF7D', 1795237200000, 'unreadable', NULL, NULL, 'paid', 500000);
INSERT INTO inbox VALUES (4, 'aipay', 'event-4', '{}', X'7B226576656E74223A2022696E766F6963652E7061696422FF7D', 1795237200000, 'settled', NULL, 'inv_98', 'paid', 500000);
INSERT INTO jobs VALUES (1, 'close', 'poster', 1, NULL, 'close', 1, 'done', 1, '', NULL, 1795237200000, 7, NULL, NULL);
INSERT INTO jobs VALUES (10, 'print', 'bar', 8, NULL, 'receipt', -10, 'confirmed', 1, '{}', NULL, 1795237200000, 75, 9, 1795237200000);
INSERT INTO jobs VALUES (2, 'print', 'hot', 1, NULL, 'ticket:Горячий цех', 1, 'sent', 1, '{"document":"receipt","lines":[],"order_number":"1950","paid_at":"21.11.2026 10:05","payments":[],"reference":"K7H2M-1-1-1","shop":"Дастархан","table":"5","total":700000,"waiter":"Мария"}', NULL, 1795237200000, 9, NULL, NULL);
INSERT INTO jobs VALUES (3, 'print', 'receipt', 1, NULL, 'receipt', 1, 'confirmed', 1, '{"document":"receipt","lines":[],"order_number":"1950","paid_at":"21.11.2026 10:05","payments":[],"reference":"K7H2M-1-1-1","shop":"Дастархан","table":"5","total":700000,"waiter":"Мария"}', NULL, 1795237200000, 11, NULL, NULL);
INSERT INTO jobs VALUES (4, 'notify', 'telegram', 4, NULL, 'paid:7', 1, 'done', 1, '{"amount":5000,"at_ms":1795237200000,"external_id":"telegram-77","invoice_id":"inv_K7H2M-4-1-1","status":"paid"}', NULL, 1795237200000, 35, NULL, NULL);
INSERT INTO jobs VALUES (5, 'print', 'receipt', 4, NULL, 'receipt', 1, 'suspect', 1, '{"document":"receipt","lines":[],"order_number":"1950","paid_at":"21.11.2026 10:05","payments":[],"reference":"K7H2M-1-1-1","shop":"Дастархан","table":"5","total":700000,"waiter":"Мария"}', NULL, 1795237200000, 37, NULL, NULL);
INSERT INTO jobs VALUES (6, 'print', 'hot', 4, NULL, 'ticket:Горячий цех', 1, 'held', 1, '{"document":"receipt","lines":[],"order_number":"1950","paid_at":"21.11.2026 10:05","payments":[],"reference":"K7H2M-1-1-1","shop":"Дастархан","table":"5","total":700000,"waiter":"Мария"}', NULL, 1795237200000, 39, NULL, NULL);
INSERT INTO jobs VALUES (7, 'close', 'poster', 7, NULL, 'close', 1, 'question', 1, '', NULL, 1795237200000, 53, NULL, NULL);
INSERT INTO jobs VALUES (8, 'close', 'poster', 8, NULL, 'close', 1, 'sending', 1, '', NULL, 1795237200000, 62, NULL, NULL);
INSERT INTO jobs VALUES (9, 'print', 'receipt', 8, NULL, 'receipt', 1, 'queued', 0, '{"document":"receipt","lines":[],"order_number":"1950","paid_at":"21.11.2026 10:05","payments":[],"reference":"K7H2M-1-1-1","shop":"Дастархан","table":"5","total":700000,"waiter":"Мария"}', NULL, 1795237200000, 63, NULL, NULL);
INSERT INTO questions VALUES (1, 'unresolved', NULL, 6, NULL, '[["amount","4 500"]]', 1795237200000, NULL, NULL, NULL, NULL, 29, NULL);
INSERT INTO questions VALUES (2, 'order_changed', NULL, 10, NULL, '[["amount","4 500"]]', 1795237200000, 1795237200001, 'Айгерім', 'ok', 'done', 55, NULL);
INSERT INTO questions VALUES (3, 'unreadable', NULL, NULL, 3, '[["amount","4 500"]]', 1795237200000, NULL, NULL, NULL, NULL, 67, NULL);
INSERT INTO questions VALUES (4, 'refund_unclear', NULL, NULL, NULL, '[]', 1795237200000, NULL, NULL, NULL, NULL, 73, 2);
INSERT INTO vault VALUES ('till1', '{"access":"a"}');
INSERT INTO refunds VALUES (1, 1, 1, 'cash', '', 100000, 'Айгерім', 'return', 'done', NULL, '{"by":"Мария"}', 0, NULL, 0, NULL, NULL, 1795237200000, 1795237200000, 70);
INSERT INTO refunds VALUES (2, 10, 1, 'terminal', 'till1', 50000, 'Айгерім', 'return', 'unresolved', NULL, NULL, 0, NULL, 1, NULL, NULL, 1795237200000, 1795237200000, 72);
PRAGMA user_version = 4;
