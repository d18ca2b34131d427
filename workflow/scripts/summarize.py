"""claims.csv and the resolved configuration -> HTML pages for the report."""

from fpkit.jobs.job import job
from fpkit.jobs.plans import check

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; color: #222; max-width: 75em; margin: 1.5em auto; padding: 0 1em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25em .6em; border-bottom: 1px solid #ddd }
thead th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid #222 }
tbody th { padding-top: 1.2em } tbody th p { font-weight: normal; margin: .2em 0 }
tbody th small { font-weight: normal; color: #666 }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
.verdict { padding: .1em .5em; border-radius: .3em; white-space: nowrap; color: #000 }
.holds { background: #0072B2; color: #fff } .undecided { background: #E69F00 } .does-not-hold { background: #D55E00 }
summary { cursor: pointer; padding: .15em 0 } pre { margin: .2em 0 1em 1.2em }
"""
COLUMNS = ("variant", "statistic", "median", "95% interval", "control", "bound", "verdict", "members", "never captured")


def page(title, body):
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n<h1>{title}</h1>\n{body}\n</body></html>\n'


def verdict(name, count=""):
    return f'<span class="verdict {name.replace(" ", "-")}">{name} {count}</span>'


def claims_page(claims):
    given = claims["verdict"].value_counts()
    names = [name for name in ("holds", "undecided", "does not hold") if name in given]
    parts = [
        "<p>Median over members and its 95% bootstrap interval, of the statistic or, where a control is given, of the"
        " difference to it. A claim holds on a variant where the whole interval keeps the bound.</p>",
        f"<p>{' '.join(verdict(name, given[name]) for name in names)}</p>",
        f"<table><thead><tr>{''.join(f'<th>{column}</th>' for column in COLUMNS)}</tr></thead>",
    ]
    for claim, rows in claims.groupby("claim", sort=False):
        first = rows.iloc[0]
        about = escape(f"{claim}; experiment {first['experiment']}; {first['source']}")
        heading = f"{escape(first['statement'])} <small>{about}</small>"
        why_not = next(filter(None, rows["why_not"]), "")
        heading += f"<p>Where it does not hold: {escape(why_not)}</p>" if why_not else ""
        parts.append(f'<tbody><tr><th colspan="{len(COLUMNS)}">{heading}</th></tr>')
        for row in rows.to_dict("records"):
            cells = [
                f"<td>{escape(row['variant'])}</td><td>{escape(row['statistic'])}</td>",
                f'<td class="number">{row["value"]}</td>',
                f'<td class="number">[{row["ci_low"]}, {row["ci_high"]}]</td><td class="number">{row["control"]}</td>',
                f'<td class="number">{escape(row["bound"])}</td>',
                f"<td>{verdict(row['verdict'])} <small>{escape(row['remark'])}</small></td>",
                f"<td>{row['members']}</td><td>{row['censored']}</td>",
            ]
            parts.append(f"<tr>{''.join(cells)}</tr>")
        parts.append("</tbody>")
    return page("Claims", "\n".join([*parts, "</table>"]))


def config_page(config, variants, absent):
    parts = ["<p>What config.yaml and what was laid over it come to, defaults filled in.</p>"]
    if absent:
        parts.append(f"<p>Left out, since not on this machine: {escape(', '.join(absent))}.</p>")
    for title, entries in {"variants": variants, **config}.items():
        parts.append(f"<h2>{title} ({len(entries)})</h2>")
        for name, entry in entries.items():
            text = escape(yaml.safe_dump(entry, sort_keys=False, allow_unicode=True, width=110))
            parts.append(f"<details><summary>{escape(name)}</summary><pre>{text}</pre></details>")
    return page("Configuration", "\n".join(parts))


with job(snakemake.log[0], "summarize", snakemake.threads, snakemake.rule):
    check(snakemake.rule, snakemake.wildcards, snakemake.params)

    from html import escape
    from pathlib import Path

    import yaml

    from fpkit.claims.verdicts import read_claims

    params = snakemake.params
    claims = read_claims(snakemake.input.claims, params.rows, dtype=str, keep_default_na=False)
    Path(snakemake.output.claims).write_text(claims_page(claims), encoding="utf-8")
    resolved = config_page(params.config, params.variants, params.absent)
    Path(snakemake.output.config).write_text(resolved, encoding="utf-8")
