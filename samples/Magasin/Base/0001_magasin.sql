CREATE TABLE produits (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    nom   TEXT    NOT NULL DEFAULT '',
    prix  INTEGER NOT NULL DEFAULT 0 CHECK (prix >= 0),    -- cents
    stock INTEGER NOT NULL DEFAULT 0 CHECK (stock >= 0)
);
CREATE TABLE clients (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    nom       TEXT NOT NULL DEFAULT '',
    telephone TEXT NOT NULL DEFAULT ''
);
CREATE TABLE ventes (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    clientId INTEGER REFERENCES clients (id),
    total    INTEGER NOT NULL DEFAULT 0,                   -- cents
    creeLe   TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX ventes_creeLe ON ventes (creeLe);
CREATE INDEX ventes_clientId ON ventes (clientId);
CREATE TABLE lignes (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    venteId      INTEGER NOT NULL REFERENCES ventes (id) ON DELETE CASCADE,
    produitId    INTEGER NOT NULL REFERENCES produits (id),
    quantite     INTEGER NOT NULL CHECK (quantite > 0),
    prixUnitaire INTEGER NOT NULL CHECK (prixUnitaire >= 0)
);
CREATE INDEX lignes_venteId ON lignes (venteId);
CREATE INDEX lignes_produitId ON lignes (produitId);

-- What was answered to a write that may be sent again (Idempotency-Key).
CREATE TABLE reponses (
    cle       TEXT PRIMARY KEY,
    empreinte TEXT NOT NULL,
    adresse   TEXT NOT NULL,
    corps     TEXT NOT NULL,
    creeLe    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
