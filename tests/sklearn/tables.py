#!/usr/bin/env python3
"""Tables as pandas reads and scikit-learn encodes them, to compare the crate with.

    python3 tests/sklearn/tables.py

writes tables.json beside this file: the text of each table and how it is to be read, then the features with their names, the classes
and the labels that pandas.read_csv, pandas.get_dummies, OneHotEncoder, SimpleImputer and LabelEncoder make of it. Rows are examples.
Which columns are no features (`left`) is said here: pandas has no rule for it. Nothing was read off the crate's results.
"""

import gzip
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import LabelEncoder, OneHotEncoder

# The default of pandas 3.1 is exact as well, older ones ask for it.
warnings.simplefilter("ignore")
HERE = Path(__file__).parent
CASES = []
YES, NO = ["yes", "Yes", "YES", "TRUE", "true", "True"], ["no", "No", "NO", "FALSE", "false", "False"]
STRATEGIES = dict(Mean="mean", Median="median", MostFrequent="most_frequent")


def frame_of(text, options, booleans):
    keys = ["delimiter", "decimal", "thousands", "comment", "na_values", "keep_default_na"]
    given = {key: options[key] for key in keys if key in options}
    if not options.get("header", True):
        given["header"] = None
    frame = pd.read_csv(io.BytesIO(text), skipinitialspace=True, float_precision="round_trip", **given)
    for name in booleans:
        words = frame[name].map(lambda v: v if pd.isna(v) else str(v))
        frame[name] = words.map(lambda v: np.nan if pd.isna(v) else 1.0 if v in YES else 0.0 if v in NO else 1 / 0)
    return frame


def later_of(text, options, booleans, categories, encoders, imputers, order):
    """The features of a table by what was fitted on another."""
    frame = frame_of(text, options, booleans)
    parts = []
    for name in order:
        column = frame[[name]]
        if name in categories:
            parts.append(encoders[name](column))
        else:
            parts.append(imputers[name].transform(column.astype(float)) if imputers else column.astype(float).to_numpy())
    return np.hstack(parts)


def case(name, text, target, later=None, booleans=(), left=(), **options):
    """Reads `text` (and `later` like it) by pandas, encodes it by scikit-learn."""
    raw = text if isinstance(text, bytes) else text.encode()
    packed = gzip.compress(raw, mtime=0) if options.pop("gz", False) else None
    frame = frame_of(raw, options, booleans)
    kind, column = target
    missing = options.get("missing", "Mean")
    order, categories = [], []
    for column_name in frame.columns:
        if column_name == column or column_name in left or str(column_name).startswith("Unnamed"):
            continue
        if frame[column_name].isna().all():
            continue
        order.append(column_name)
        if column_name in options.get("categories", []) or not pd.api.types.is_numeric_dtype(frame[column_name]):
            categories.append(column_name)
    names, imputers, encoders = [], {}, {}
    for column_name in order:
        if column_name in categories:
            values = frame[column_name]
            if missing == "MostFrequent":
                fill = SimpleImputer(strategy="most_frequent").fit(values.astype(object).to_frame())
                values = pd.Series(fill.transform(values.astype(object).to_frame())[:, 0])
            dummies = pd.get_dummies(values)
            known = [v for v in dummies.columns]
            unknown = "ignore" if options.get("unknown") in ("Ignore", "Other") else "error"
            encoder = OneHotEncoder(sparse_output=False, handle_unknown=unknown).fit(values.dropna().to_numpy().reshape(-1, 1))
            assert [v for v in encoder.categories_[0]] == known
            names += [f"{column_name}={v:g}" if isinstance(v, float) else f"{column_name}={v}" for v in known]
            if options.get("unknown") == "Other":
                names.append(f"{column_name}=(other)")

            def encode(column, encoder=encoder, name=column_name):
                values = column.iloc[:, 0]
                if missing == "MostFrequent":
                    values = pd.Series(fill_of[name].transform(values.astype(object).to_frame())[:, 0])
                blank = values.isna().to_numpy()
                coded = np.zeros((len(values), len(encoder.categories_[0])))
                coded[~blank] = encoder.transform(values[~blank].to_numpy().reshape(-1, 1))
                if options.get("unknown") == "Other":
                    coded = np.hstack([coded, ((coded.sum(1) == 0) & ~blank)[:, None]])
                return coded

            encoders[column_name] = encode
            if missing == "MostFrequent":
                fill_of[column_name] = fill
        else:
            names.append(str(column_name))
            if missing in STRATEGIES:
                values = frame[[column_name]].astype(float)
                imputers[column_name] = SimpleImputer(strategy=STRATEGIES[missing]).fit(values)
    rows = lambda matrix: [[None if np.isnan(v) else v for v in row] for row in matrix.tolist()]
    of = lambda text: rows(later_of(text, options, booleans, categories, encoders, imputers, order))
    entry = dict(name=name, text=raw.decode(), target=kind, column=column, options=options)
    if packed:
        entry["packed"] = packed.hex()
    entry.update(features=names if options.get("header", True) else [], inputs=of(raw))
    if kind == "classes":
        values = frame[column]
        encoder = LabelEncoder().fit(values)
        classes = [f"{v:g}" if isinstance(v, float) else str(v) for v in encoder.classes_.tolist()]
        entry.update(classes=classes, labels=encoder.transform(values).tolist())
    else:
        entry.update(targets=[float(v) for v in frame[column]])
    if later is not None:
        entry.update(later=later, later_inputs=of(later.encode()))
    CASES.append(entry)


fill_of = {}
KIND, Y = ("classes", "kind"), ("numbers", "y")

case("numbers", "a,b,kind\n1,2.5,x\n-3,4e-3,y\n0.1,+7,x\n", KIND)
case("notations", "a,y\n1e5,1\n.5,2\n5.,3\n+3,4\n1E-3,5\n-0.0,6\n007,7\n1e+2,8\n", Y)
case("digits", "a,y\n0.1,0.30000000000000004\n1.7976931348623157e308,2.2250738585072014e-308\n123456789.123456789,5e-324\n9007199254740993,3\n", Y)
case("quoted numbers", 'a,y\n"1","2"\n"3.5",4\n', Y)
case("spaces", "a, b ,y\n 1,  2,3\n4 , 5 , 6 \n".replace(" b ", " b"), Y)
case("categories", "colour,y\nred,1\nblue,2\nred,3\nwhite,4\nblue,5\n", Y)
case("two columns of categories", "s,n,t,y\nb,1,u,1\na,2,v,2\nb,3,v,3\na,4,u,4\n", Y)
case("order of code points", "s,y\nb,1\nA,2\na,3\nB,4\nA,5\né,6\nz,7\n,8\n", Y)
case("order beyond letters", "s,y\n-x,1\n_x,2\nZ,3\n10x,4\n9x,5\nä,6\nя,7\n木,8\n😀,9\nZ,0\n", Y)
case("numbers as categories", "code,y\n10,1\n2,2\n10,3\n-1,4\n", Y, categories=["code"])
case("fractions as categories", "code,y\n0.5,1\n2,2\n10,3\n2.0,4\n0.25,5\n", Y, categories=["code"])
case("one constant category", "s,y\na,1\na,2\na,3\n", Y)
case("booleans", "b,y\nTrue,1\nFalse,2\nTrue,3\n", Y, booleans=["b"])
case("booleans in capitals", "b,c,y\nTRUE,false,1\nFALSE,true,2\nTRUE,true,3\n", Y, booleans=["b", "c"])
case("yes and no", "b,c,y\nyes,No,1\nno,Yes,2\nyes,No,3\n", Y, booleans=["b", "c"])
case("booleans with blanks", "b,y\nyes,1\n,2\nno,3\nyes,4\n", Y, booleans=["b"])
case("booleans with blanks, most frequent", "b,y\nTrue,1\n,2\nFalse,3\nTrue,4\n", Y, booleans=["b"], missing="MostFrequent")
TOKENS = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
assert sorted(TOKENS) == sorted(pd._libs.parsers.STR_NA_VALUES)
case("what is missing", "a,s,y\n1,u,0\n4,v,0\n7,u,1\n" + "".join(f"{t},{t},{i}\n" for i, t in enumerate(TOKENS)), Y)
case("only what is empty is missing", "s,y\nNA,1\nnull,2\n,3\nNA,4\n", Y, keep_default_na=False, na_values=[""])
case("more that is missing", "a,s,y\n1,?,1\n?,u,2\n3,v,3\nNA,u,4\n", Y, na_values=["?"])
case("a number that is missing", "a,y\n1,1\n-999,2\n-999.0,3\n5,4\n", Y, na_values=["-999"])
case("mean", "a,b,y\n1,,1\n,0.1,2\n5,0.2,3\n9,0.4,4\n", Y, later="y,b,a\n1,,2\n2,3,\n")
case("median of even", "a,b,y\n1,,1\n,0.1,2\n5,0.2,3\n9,0.4,4\n100,,5\n", Y, missing="Median", later="a,b,y\n,,1\n")
case("median of odd", "a,y\n3,1\n,2\n1,3\n100,4\n", Y, missing="Median")
case("most frequent", "a,s,y\n2,u,1\n1,v,2\n2,,3\n1,v,4\n,u,5\n7,w,6\n", Y, missing="MostFrequent", later="a,s,y\n,,1\n3,w,2\n")
case("kept missing", "a,y\n1,1\n,2\n5,3\n", Y, missing="Keep")
case("a blank category", "s,y\nu,1\n,2\nv,3\nNA,4\nu,5\n", Y, later="s,y\nv,1\n,2\n")
case("an unseen category, ignored", "s,a,y\nu,1,1\nv,2,2\nu,3,3\n", Y, unknown="Ignore", later="s,a,y\nw,1,1\nv,2,2\n,3,3\n")
case("an unseen category, other", "s,a,y\nu,1,1\nv,2,2\nu,3,3\n", Y, unknown="Other", later="s,a,y\nw,1,1\nv,2,2\n,3,3\nx,4,4\n")
case("columns in another order", "a,s,b,y\n1,u,2,1\n3,v,4,2\n5,u,6,3\n", Y, later="more,b,y,s,a\nq,1,2,v,3\nr,4,5,u,6\n")
case("categories that a later table lacks", "s,y\nu,1\nv,2\nw,3\nu,4\n", Y, later="s,y\nv,1\nv,2\n")
case("decimal comma", "a;y\n1,5;2\n-0,25;3e1\n4;5,0\n", Y, delimiter=";", decimal=",")
case("decimal comma and thousands", "a;y\n1.234,5;2\n1.234.567;3\n12;4\n-1.000,25;1.000\n", Y, delimiter=";", decimal=",", thousands=".")
case("thousands", 'a,y\n"1,234",1\n"1,234,567.5",2\n12,"3,000"\n', Y, thousands=",")
case("thousands by apostrophes", "a,y\n1'234,1\n1'234'567.5,2\n12,3\n", Y, thousands="'")
case("tabs", "a\tb\ty\n1\t2\t3\n4\t\t6\n7\t8\t9\n", Y, delimiter="\t")
case("bars", "a|s|y\n1|x,y|3\n4|z|6\n5|z|7\n", Y, delimiter="|")
case("comment lines", "# made up\na,y\n#1,2\n3,4\n#\n5,6\n", Y, comment="#")
case("comments behind cells", "a,s,y# names\n1,u,2# one\n3,\"v#w\",4\n5,u,6 #\n", Y, comment="#")
case("blank lines", "\n\na,y\n1,2\n\n   \n3,4\n\n", Y)
case("CRLF", "a,s,y\r\n1,u,2\r\n\r\n3,v,4\r\n5,u,6\r\n", Y)
case("CR alone", "a,s,y\r1,u,2\r3,v,4\r\r5,u,6\r", Y)
case("no line break at the end", "a,y\n1,2\n3,4", Y)
case("a byte order mark", "\ufeffa,y\n1,2\n3,4\n", Y)
case("quotes", 's,y\n"a,b",1\n"a""b",2\n"a\nb",3\n"a,b",4\n"",5\n"""",6\n"x\r\ny",7\n', Y)
case("quoted names", '"a b","c""d","e,f",y\n1,2,3,4\n5,6,7,8\n', Y)
case("unnamed index", ",a,y\n0,2,1\n1,5,2\n2,7,1\n", Y)
case("unnamed twice", ",Unnamed: 0,a,y\n0,0,2,1\n1,1,5,2\n2,2,7,1\n", Y)
case("trailing delimiter", "a,y,\n1,2,\n3,4,\n", Y)
case("a column without values", "a,b,c,y\n1,,NA,1\n3,,,2\n", Y)
case("an index, dates and free text", "id,when,note,a,s,y\n3,2024-01-02,one,1,u,1\n1,2024-02-29,two,2,v,2\n2,2023-12-31,three,3,u,3\n", Y, left=["id", "when", "note"])
case("no header", "1;u;2\n3;v;4\n5;u;6\n", ("numbers", 2), delimiter=";", header=False)
case("gzip", "a,s,y\n1,u,2\n3,v,4\n5,u,6\n", Y, gz=True)
case("classes in order", "a,kind\n1,oak\n2,Elm\n3,elm\n4,oak\n", KIND)
case("classes of whole numbers", "a,kind\n1,10\n2,9\n3,-1\n4,10\n", KIND)
case("1 and 1.0", "a,kind\n1,1\n2,1.0\n3,10\n4,2.0\n5,2\n", KIND)
case("classes of fractions", "a,kind\n1,0.5\n2,10\n3,2.50\n4,1e1\n5,2.5\n", KIND)
case("classes with zeros before", "a,kind\n1,007\n2,7\n3,010\n", KIND)
case("large classes", "a,kind\n1,9007199254740993\n2,9007199254740992\n3,9007199254740993\n", KIND)
case("classes of numbers and text", "a,kind\n1,10\n2,9\n3,b\n4,10\n", KIND)
case("classes of yes and no", "a,kind\n1,yes\n2,no\n3,no\n", KIND)
case("classes with a decimal comma", "a;kind\n1,5;0,5\n2,5;10\n3;0,50\n", KIND, delimiter=";", decimal=",")
case(
    "all at once",
    ",height,colour,wild,when,note,weight,kind\n0,1.5,red,yes,2024-01-02,tall one,NA,oak\n1,,blue,no,2024-01-03,by the road,2.5,elm\n"
    "2,n/a,red,,2024-02-01,old,3.5,oak\n3,4.5,,yes,2024-02-02,very old,null,elm\n\n4,0.5,blue,no,2024-02-03,dead,1.0,elm\n",
    KIND,
    booleans=["wild"],
    left=["when", "note"],
    later="kind,weight,wild,colour,height\noak,,yes,red,\nelm,1,,,2\n",
)

about = f"Written by tests/sklearn/tables.py with pandas {pd.__version__} and scikit-learn {sklearn.__version__}."
lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in CASES)
(HERE / "tables.json").write_text(f'{{"about": {json.dumps(about)},\n"cases": [\n{lines}\n]}}\n')
print(len(CASES), "cases")
