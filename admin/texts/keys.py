"""The texts of the screen *keys*."""

TEXTS = {
    "keys.title": ("Keys", "密钥"),
    "keys.lead": (
        "Access tokens that clients ask with. Every gateway applies a change within a second.",
        "客户端使用的访问令牌。更改在一秒内于所有网关生效。",
    ),
    "keys.empty": (
        "No key was made yet. Access tokens of the configuration file are not listed here.",
        "尚未创建任何密钥。配置文件中的访问令牌不在此列出。",
    ),
    "keys.new": ("New key", "新建密钥"),
    "keys.new.lead": (
        "The key's secret is shown once, right after it is made.",
        "密钥的内容仅在创建后显示一次。",
    ),
    "keys.make": ("Make the key", "创建密钥"),
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
    "keys.made": ("Made", "创建于"),
    "keys.id": ("Id", "标识"),
    "keys.retiring": ("Replaced secret valid until", "旧密钥有效至"),
    "keys.settings": ("Settings", "设置"),
    "keys.secret": ("The secret of this key", "该密钥的内容"),
    "keys.secret.once": (
        "Copy it now: it is not stored, and nobody can show it again.",
        "请立即复制：系统不保存其内容，之后无法再次显示。",
    ),
    "keys.rotate": ("Rotate", "轮换"),
    "keys.rotate.title": ("Rotate {name}", "轮换 {name}"),
    "keys.rotate.lead": (
        "The key gets a new secret, which is shown once. The present one stays valid for a while,"
        " so that clients can change over.",
        "该密钥将获得新的内容并显示一次。旧内容在一段时间内仍然有效，便于客户端切换。",
    ),
    "keys.rotate.grace": ("The present secret stays valid for", "旧内容继续有效的时间"),
    "keys.rotate.grace.hint": (
        "Such as 90m, 12h, 7d or 4w; 0 ends it at once.",
        "例如 90m、12h、7d 或 4w；0 表示立即失效。",
    ),
    "keys.rotate.grace.wrong": (
        "Write a span such as 90m, 12h, 7d or 4w, or 0.",
        "请填写时长，例如 90m、12h、7d 或 4w，或填 0。",
    ),
    "keys.rotate.do": ("Make a new secret", "生成新内容"),
    "keys.disable": ("Disable", "停用"),
    "keys.enable": ("Enable", "启用"),
    "keys.remove": ("Remove", "删除"),
    "keys.remove.title": ("Remove {name}?", "删除 {name}？"),
    "keys.remove.lead": (
        "Clients that ask with it are refused within a second, and it cannot be brought back."
        " What runs is not cut. To refuse it for a while, disable it instead.",
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
    "keys.part.speed": ("How fast", "速率"),
    "keys.part.points": ("How many points", "点数预算"),
    "keys.part.points.hint": (
        "Of Poe's points. An empty field is no bound; 0 allows nothing.",
        "以 Poe 点数计。留空表示不限，0 表示不允许消费。",
    ),
    "keys.f.name": ("Name", "名称"),
    "keys.f.name.hint": (
        "What logs, metrics and the usage call it.",
        "用于日志、指标与用量统计。",
    ),
    "keys.f.name.wrong": (
        "Write a name of 1 to 100 printable characters. Sixteen hexadecimal digits are taken for"
        " an id.",
        "请填写 1 至 100 个可打印字符。16 位十六进制数字会被视为标识。",
    ),
    "keys.f.name.taken": ("Another key has this name.", "该名称已被其他密钥使用。"),
    "keys.f.group": ("Group", "组"),
    "keys.f.group.hint": (
        "The team that it belongs to, if any.",
        "所属团队，可留空。",
    ),
    "keys.f.group.wrong": (
        "Write at most 100 printable characters.",
        "请填写最多 100 个可打印字符。",
    ),
    "keys.f.labels": ("Labels", "标签"),
    "keys.f.labels.hint": (
        "For your own notes: one a line, such as owner = ann.",
        "供自行备注：每行一个，例如 owner = ann。",
    ),
    "keys.f.labels.wrong": (
        "Write one label a line, as name = value: at most 32, names up to 100 characters, values"
        " up to 200, each name once.",
        "每行一个标签，格式为 名称 = 值：最多 32 个，名称不超过 100 个字符，值不超过 200 个字符，"
        "名称不可重复。",
    ),
    "keys.f.models": ("Models", "模型"),
    "keys.f.models.hint": (
        "One a line; * stands for any text. Empty: all.",
        "每行一个；* 代表任意文本。留空表示全部。",
    ),
    "keys.f.models.wrong": (
        "Write one model a line: at most 1,000, of up to 100 printable characters each.",
        "每行一个模型：最多 1,000 个，每个不超过 100 个可打印字符。",
    ),
    "keys.f.expires": ("Expires", "到期"),
    "keys.f.expires.hint": (
        "A last day (2027-12-31, UTC), an instant, or a span from now (30d). Empty: never.",
        "最后一天（2027-12-31，UTC）、时刻或从现在起的时长（30d）。留空表示永不到期。",
    ),
    "keys.f.expires.wrong": (
        "Write a day (2027-12-31), an instant with its zone (2027-12-31T18:00:00Z), or a span from"
        " now (30d).",
        "请填写日期（2027-12-31）、带时区的时刻（2027-12-31T18:00:00Z）或从现在起的时长（30d）。",
    ),
    "keys.f.rateLimit": ("Requests a minute", "每分钟请求数"),
    "keys.f.rateLimit.hint": (
        "In any 60 seconds. Empty: no bound of its own.",
        "任意 60 秒内。留空表示不另设限制。",
    ),
    "keys.f.rateLimit.wrong": (
        "Write a whole number from 1 to 1,000,000.",
        "请填写 1 至 1,000,000 的整数。",
    ),
    "keys.f.maxConcurrent": ("Requests at a time", "同时进行的请求数"),
    "keys.f.maxConcurrent.hint": ("Queued ones count too.", "包括排队中的请求。"),
    "keys.f.maxConcurrent.wrong": (
        "Write a whole number from 1 to 1,000,000.",
        "请填写 1 至 1,000,000 的整数。",
    ),
    "keys.f.weight": ("Weight", "权重"),
    "keys.f.weight.hint": (
        "Its share of the starts when others wait too. Empty: 1.",
        "与其他客户端同时等待时所得的份额。留空为 1。",
    ),
    "keys.f.weight.wrong": (
        "Write a number from 0.01 to 1,000.",
        "请填写 0.01 至 1,000 的数。",
    ),
    "keys.f.dayBudget": ("A day", "每天"),
    "keys.f.weekBudget": ("A week", "每周"),
    "keys.f.monthBudget": ("A month", "每月"),
    "keys.f.totalBudget": ("In all", "总计"),
    "keys.f.budget.wrong": (
        "Write a whole number of points, from 0 to 1,000,000,000,000.",
        "请填写整数点数，0 至 1,000,000,000,000。",
    ),
    "keys.left": ("{n} points left", "剩余 {n} 点"),
    "keys.spent": ("{spent} of {limit}", "{spent} / {limit}"),
    "keys.reserved": ("{n} reserved for what runs", "{n} 点已为进行中的请求预留"),
    "keys.renews": ("renews", "重置于"),
    "keys.period.day": ("Today", "今天"),
    "keys.period.week": ("This week", "本周"),
    "keys.period.month": ("This month", "本月"),
    "keys.period.total": ("In all", "总计"),
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
        "Where days begin, such as Europe/Berlin. Empty: UTC.",
        "以何处的零点为一天的开始，例如 Asia/Shanghai。留空为 UTC。",
    ),
    "keys.f.timeZone.wrong": (
        "Write a time zone such as Europe/Berlin.",
        "请填写时区，例如 Asia/Shanghai。",
    ),
}
