"""The texts of the screen *try*."""

TEXTS = {
    "nav.try": ("Try", "试用"),
    "try.title": ("Try a model", "试用模型"),
    "try.lead": (
        "Ask a model through the gateway, as any client does. It costs points.",
        "像普通客户端一样通过网关提问，会消耗点数。",
    ),
    "try.model": ("Model", "模型"),
    "try.model.hint": (
        "Start typing: the catalogue has {n} models.",
        "输入以筛选：目录中有 {n} 个模型。",
    ),
    "try.model.none": (
        "No worker has fetched the catalogue yet: type the model's name.",
        "尚未获取模型目录，请直接输入模型名称。",
    ),
    "try.system": ("Instructions (optional)", "系统指令（可选）"),
    "try.prompt": ("Prompt", "提示词"),
    "try.prompt.hint": ("Press Ctrl+Enter to ask.", "按 Ctrl+Enter 发送。"),
    "try.key": ("Ask with", "使用的密钥"),
    "try.key.own": ("the key of this page", "本页面的密钥"),
    "try.key.own.hint": (
        "“{name}” on the screen Keys. It is created when it is first used, and may spend {budget}"
        " points a day unless you change that.",
        "即“密钥”页面中的“{name}”，首次使用时创建，默认每天最多消耗 {budget} 点。",
    ),
    "try.key.own.never": (
        "The gateway requires no key yet. It would once the first key exists, so none is created"
        " here.",
        "网关目前无需密钥。创建第一个密钥后，所有请求都需要密钥，因此这里不会自动创建。",
    ),
    "try.key.given": ("another access token", "其他访问令牌"),
    "try.key.given.hint": (
        "It is not stored. Leave it empty if the gateway requires no key.",
        "不会被保存。若网关无需密钥，请留空。",
    ),
    "try.secret": ("Access token", "访问令牌"),
    "try.ask": ("Ask", "发送"),
    "try.stop": ("Stop", "停止"),
    "try.answer": ("Answer", "回答"),
    "try.none": ("The answer appears here.", "回答将显示在这里。"),
    "try.thoughts": ("Thoughts", "思考过程"),
    "try.status.asking": ("Asking…", "正在请求…"),
    "try.status.queued": ("Waiting at place {position}…", "排队中，位置 {position}…"),
    "try.status.thinking": ("Thinking…", "思考中…"),
    "try.status.answering": ("Answering…", "回答中…"),
    "try.status.settling": ("Complete; its cost is being looked up…", "已完成，正在查询费用…"),
    "try.status.done": ("Complete", "已完成"),
    "try.status.cut": ("Complete, cut at the model's limit", "已完成（达到长度上限）"),
    "try.status.stopped": ("Stopped", "已停止"),
    "try.status.failed": ("Failed", "失败"),
    "try.status.lost": (
        "The connection to this page's service was lost.",
        "与本页面服务的连接已断开。",
    ),
    "try.first": ("First word after", "首字用时"),
    "try.time": ("Time", "总用时"),
    "try.tokens": ("Tokens", "Token 数"),
    "try.tokens.of": ("{prompt} in, {completion} out", "输入 {prompt}，输出 {completion}"),
    "try.estimated": ("Points estimated", "预估点数"),
    "try.settled": ("Points settled", "结算点数"),
    "try.account": ("Poe token", "Poe 令牌"),
    "try.script": (
        "This screen needs JavaScript to show the answer while it is written.",
        "回答会逐步显示，因此此页面需要 JavaScript。",
    ),
    "try.unreachable": (
        "The gateway at {url} cannot be reached: see gatewayUrl (GATEWAY_URL) in the"
        " configuration of the admin service.",
        "无法连接网关 {url}：请设置管理服务的 gatewayUrl（GATEWAY_URL）。",
    ),
    "try.broken": (
        "The connection to the gateway broke off before the answer's end.",
        "与网关的连接在回答结束前中断。",
    ),
}
