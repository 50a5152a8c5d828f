"""The texts of the screen *keys*."""

TEXTS = {
    "keys.title": ("Keys", "密钥"),
    "keys.lead": (
        "Access tokens that were made at run time. Every gateway applies a change within a second.",
        "运行时创建的访问令牌。更改会在一秒内对所有网关生效。",
    ),
    "keys.empty": (
        "There are no keys yet. Access tokens in the configuration file are not listed here.",
        "尚未创建任何密钥。配置文件中的访问令牌不在此列出。",
    ),
    "keys.find": ("Name, group, id or label", "名称、组、标识或标签"),
    "keys.find.do": ("Find", "查找"),
    "keys.find.off": ("Show all", "显示全部"),
    "keys.find.none": ("No key matches.", "没有匹配的密钥。"),
    "keys.pages": ("Pages", "分页"),
    "keys.part": ("{first}–{last} of {all}", "第 {first}–{last} 个，共 {all} 个"),
    "keys.before": ("Previous", "上一页"),
    "keys.after": ("Next", "下一页"),
    "groups.part": (
        "Showing {n} of {all} groups: find the others by name.",
        "共 {all} 个组，显示 {n} 个：其余请按名称查找。",
    ),
    "keys.new": ("New key", "新建密钥"),
    "keys.new.lead": (
        "The key's secret is shown once, right after it is made.",
        "密钥的内容仅在创建后显示一次。",
    ),
    "keys.make": ("Create key", "创建密钥"),
    "keys.save": ("Save", "保存"),
    "keys.name": ("Name", "名称"),
    "keys.group": ("Group", "组"),
    "keys.state": ("State", "状态"),
    "keys.models": ("Models", "模型"),
    "keys.limits": ("Limits", "限制"),
    "keys.budgets": ("Budgets", "预算"),
    "keys.state.active": ("active", "有效"),
    "keys.state.disabled": ("disabled", "已停用"),
    "keys.state.expired": ("expired", "已过期"),
    "keys.all": ("all", "全部"),
    "keys.more": ("{n} more", "另 {n} 个"),
    "keys.until": ("until", "有效至"),
    "keys.limit.rate": ("{n}/min", "每分钟 {n} 次"),
    "keys.limit.concurrent": ("{n} at once", "同时 {n} 个"),
    "keys.limit.weight": ("weight {n}", "权重 {n}"),
    "keys.made": ("Created", "创建于"),
    "keys.id": ("ID", "标识"),
    "keys.retiring": ("Previous secret valid until", "旧密钥有效至"),
    "keys.settings": ("Settings", "设置"),
    "keys.secret": ("The secret of this key", "密钥内容"),
    "keys.secret.once": (
        "Copy it now: it is not stored, and cannot be shown again. Clients send it as their API"
        " key.",
        "请立即复制：系统不会保存，之后无法再次显示。客户端将其用作 API 密钥。",
    ),
    "keys.rotate": ("Rotate", "轮换"),
    "keys.rotate.title": ("Rotate {name}", "轮换 {name}"),
    "keys.rotate.lead": (
        "The key gets a new secret, which is shown once. The current one stays valid for a while,"
        " so that clients can switch.",
        "将生成新的密钥内容，仅显示一次。当前内容在一段时间内仍然有效，便于客户端切换。",
    ),
    "keys.rotate.grace": ("The current secret stays valid for", "当前内容继续有效的时间"),
    "keys.rotate.grace.hint": (
        "Such as 90m, 12h, 7d or 4w; with 0 it ends at once.",
        "例如 90m、12h、7d 或 4w；0 表示立即失效。",
    ),
    "keys.rotate.grace.wrong": (
        "Write a duration such as 90m, 12h, 7d or 4w, or 0.",
        "请填写时长，例如 90m、12h、7d 或 4w，或填 0。",
    ),
    "keys.rotate.do": ("Create a new secret", "生成新密钥内容"),
    "keys.disable": ("Disable", "停用"),
    "keys.enable": ("Enable", "启用"),
    "keys.remove": ("Remove", "删除"),
    "keys.remove.title": ("Remove {name}?", "删除 {name}？"),
    "keys.remove.lead": (
        "Clients that use it are refused within a second, and it cannot be restored. Running"
        " answers are not cut. To refuse it only for a while, disable it instead.",
        "使用它的客户端将在一秒内被拒绝，且无法恢复。正在进行的请求不会中断。若只想暂时拒绝，请改为停用。",
    ),
    "keys.remove.do": ("Remove this key", "删除此密钥"),
    "keys.told.changed": ("{name} was changed.", "{name} 已更改。"),
    "keys.told.unchanged": ("Nothing was changed.", "没有更改。"),
    "keys.told.disabled": ("{name} is disabled.", "{name} 已停用。"),
    "keys.told.enabled": ("{name} is enabled.", "{name} 已启用。"),
    "keys.told.removed": ("{name} was removed.", "{name} 已删除。"),
    "keys.part.who": ("Who", "归属"),
    "keys.part.what": ("What it may do", "权限"),
    "keys.part.speed": ("Rate", "速率"),
    "keys.part.points": ("Budgets", "点数预算"),
    "keys.part.points.hint": (
        "In Poe's points. Empty: no limit. 0: only models that cost nothing.",
        "以 Poe 点数计。留空表示不限，0 表示仅允许免费模型。",
    ),
    "keys.f.name": ("Name", "名称"),
    "keys.f.name.hint": (
        "Its name in logs, metrics and usage.",
        "用于日志、指标与用量统计。",
    ),
    "keys.f.name.wrong": (
        "Write a name of 1 to 100 printable characters, but not 16 hexadecimal digits, which would"
        " be an ID.",
        "请填写 1 至 100 个可打印字符，但不能是 16 位十六进制数字（那是标识的格式）。",
    ),
    "keys.f.name.taken": ("Another key has this name.", "该名称已被其他密钥使用。"),
    "keys.f.group": ("Group", "组"),
    "keys.f.group.hint": (
        "The team it belongs to, if any.",
        "所属团队，可留空。",
    ),
    "keys.f.group.wrong": (
        "Write at most 100 printable characters.",
        "请填写最多 100 个可打印字符。",
    ),
    "keys.f.labels": ("Labels", "标签"),
    "keys.f.labels.hint": (
        "For your own notes: one per line, such as owner = ann.",
        "供自行备注：每行一个，例如 owner = ann。",
    ),
    "keys.f.labels.wrong": (
        "Write one label per line, as name = value: at most 32, names up to 100 characters, values"
        " up to 200, each name once.",
        "每行一个标签，格式为 名称 = 值：最多 32 个，名称不超过 100 个字符，值不超过 200 个字符，"
        "名称不可重复。",
    ),
    "keys.f.models": ("Models", "模型"),
    "keys.f.models.hint": (
        "One per line; * stands for any text. Empty: all.",
        "每行一个；* 代表任意文本。留空表示全部。",
    ),
    "keys.f.models.wrong": (
        "Write one model per line: at most 1,000, of up to 100 printable characters each.",
        "每行一个模型：最多 1,000 个，每个不超过 100 个可打印字符。",
    ),
    "keys.f.expires": ("Expires", "到期"),
    "keys.f.expires.hint": (
        "The last day (2027-12-31, UTC), a time (2027-12-31T18:00:00Z), or a duration from now"
        " (30d). Empty: never.",
        "最后一天（2027-12-31，UTC）、时刻（2027-12-31T18:00:00Z）或从现在起的时长（30d）。留空表示永不到期。",
    ),
    "keys.f.expires.wrong": (
        "Write a day (2027-12-31) or a time with its zone (2027-12-31T18:00:00Z) that has not"
        " passed, or a duration from now (30d). To refuse the key at once, disable it.",
        "请填写尚未过去的日期（2027-12-31）或带时区的时刻（2027-12-31T18:00:00Z），或从现在起的时长（30d）。"
        "若要立即拒绝该 key，请将其停用。",
    ),
    "keys.f.rateLimit": ("Requests per minute", "每分钟请求数"),
    "keys.f.rateLimit.hint": (
        "In any 60 seconds. Empty: no limit of its own.",
        "任意 60 秒内。留空表示不另设限制。",
    ),
    "keys.f.rateLimit.wrong": (
        "Write a whole number from 1 to 1,000,000.",
        "请填写 1 至 1,000,000 的整数。",
    ),
    "keys.f.maxConcurrent": ("Concurrent requests", "并发请求数"),
    "keys.f.maxConcurrent.hint": (
        "Queued ones count too. Empty: no limit of its own.",
        "包括排队中的请求。留空表示不另设限制。",
    ),
    "keys.f.maxConcurrent.wrong": (
        "Write a whole number from 1 to 1,000,000.",
        "请填写 1 至 1,000,000 的整数。",
    ),
    "keys.f.weight": ("Weight", "权重"),
    "keys.f.weight.hint": (
        "Its share of the queue when others wait too: 2 gets twice as much as 1. Empty: 1.",
        "与其他客户端同时排队时所得的份额：2 是 1 的两倍。留空为 1。",
    ),
    "keys.f.weight.wrong": (
        "Write a number from 0.01 to 1,000.",
        "请填写 0.01 至 1,000 的数。",
    ),
    "keys.f.dayBudget": ("Per day", "每天"),
    "keys.f.weekBudget": ("Per week", "每周"),
    "keys.f.monthBudget": ("Per month", "每月"),
    "keys.f.totalBudget": ("In total", "总计"),
    "keys.f.budget.wrong": (
        "Write a whole number of points, from 0 to 1,000,000,000,000.",
        "请填写整数点数，0 至 1,000,000,000,000。",
    ),
    "keys.left": ("{n} points left", "剩余 {n} 点"),
    "keys.spent": ("{spent} of {limit}", "{spent} / {limit}"),
    "keys.reserved": ("{n} reserved for running requests", "{n} 点已为进行中的请求预留"),
    "keys.renews": ("renews", "重置于"),
    "keys.period.day": ("Today", "今天"),
    "keys.period.week": ("This week", "本周"),
    "keys.period.month": ("This month", "本月"),
    "keys.period.total": ("In total", "总计"),
    "groups.title": ("Groups", "组"),
    "groups.lead": (
        "A request counts against the budgets of its key and of the key's group.",
        "每个请求同时计入其密钥和所属组的预算。",
    ),
    "groups.members": ("Keys", "密钥数"),
    "groups.none": ("no budget", "无预算"),
    "groups.budgets": ("Budgets of {name}", "{name} 的预算"),
    "groups.budgets.lead": (
        "What all keys of the group may spend together.",
        "该组所有密钥合计可消费的点数。",
    ),
    "groups.remove": ("Remove these budgets", "移除这些预算"),
    "groups.told.removed": ("The budgets of {name} were removed.", "{name} 的预算已移除。"),
    "keys.f.timeZone": ("Time zone", "时区"),
    "keys.f.timeZone.hint": (
        "Where its days begin, such as Europe/Berlin. Empty: UTC.",
        "以何处的零点为一天的开始，例如 Asia/Shanghai。留空为 UTC。",
    ),
    "keys.f.timeZone.wrong": (
        "Write a time zone such as Europe/Berlin.",
        "请填写时区，例如 Asia/Shanghai。",
    ),
}
