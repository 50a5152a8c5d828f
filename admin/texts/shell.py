"""The texts of the frame around the screens, of the login, and of what every screen may say."""

TEXTS = {
    "skip": ("Skip to the content", "跳到正文"),
    "nav": ("Screens", "页面"),
    "nav.keys": ("Keys", "密钥"),
    "language": ("Language", "语言"),
    "theme": ("Colours", "配色"),
    "theme.auto": ("Auto", "自动"),
    "theme.light": ("Light", "浅色"),
    "theme.dark": ("Dark", "深色"),
    "logout": ("Log out", "退出"),
    "login.title": ("Log in", "登录"),
    "login.token": ("Login token", "登录令牌"),
    "login.hint": (
        "It is the adminToken of the configuration. With Docker Compose: secrets/admin_token.",
        "即配置中的 adminToken。使用 Docker Compose 时在 secrets/admin_token 中。",
    ),
    "login.wrong": (
        "This is not the login token.",
        "登录令牌不正确。",
    ),
    "login.throttled": (
        "This is not the login token. Too many wrong tokens came from your address; wait"
        " {seconds} s.",
        "登录令牌不正确。您的地址发送了过多错误的令牌，请等待 {seconds} 秒。",
    ),
    "login.do": ("Log in", "登录"),
    "error.title": ("That did not work", "操作未成功"),
    "error.401": ("You are logged out. Log in and try again.", "您已退出，请登录后重试。"),
    "error.403": (
        "This form does not come from this page, or you have logged in again since it was loaded."
        " Nothing was changed. Go back, reload the page, and try again.",
        "此表单并非来自本页面，或者加载之后您重新登录过。未作任何更改，请返回、刷新页面后重试。",
    ),
    "error.404": ("There is nothing here.", "此处没有内容。"),
    "error.405": ("This page cannot be asked for in this way.", "不支持以这种方式请求此页面。"),
    "error.413": ("What was sent is too large.", "发送的内容过大。"),
    "error.421": (
        "The page is not known by this host name. Call it by an address, or list the name in"
        " allowedHosts of its configuration.",
        "此主机名未被允许。请用 IP 地址访问，或在配置的 allowedHosts 中加入该名称。",
    ),
    "error.500": (
        "The server had an error. Its log says more.",
        "服务器出错，详情见日志。",
    ),
    "error.503": (
        "Redis does not answer at the moment. Nothing is known, and nothing was surely changed."
        " Try again in a moment.",
        "Redis 暂时没有响应：无法读取数据，也不能确定更改是否生效。请稍后重试。",
    ),
    "error.other": ("The request was refused.", "请求被拒绝。"),
    "error.back": ("Back to the first screen", "返回首页"),
    "comma": (", ", "，"),
    "cancel": ("Cancel", "取消"),
    "copy": ("Copy", "复制"),
    "copied": ("Copied", "已复制"),
    "none": ("none", "无"),
    "points": ("points", "点"),
    "form.mistakes": (
        "Nothing was saved yet: see the fields that are marked.",
        "尚未保存：请查看标记的字段。",
    ),
    "unit.days": ("{n} d", "{n} 天"),
    "unit.hours": ("{n} h", "{n} 小时"),
    "unit.minutes": ("{n} min", "{n} 分钟"),
    "unit.seconds": ("{n} s", "{n} 秒"),
}
