"""The texts of the screen *keys*."""

TEXTS = {
    "keys.title": ("Keys", "密钥"),
    "keys.lead": (
        "Access tokens that clients ask with. Every gateway applies a change within a second.",
        "客户端使用的访问令牌。更改在一秒内于所有网关生效。",
    ),
    "keys.empty": ("No key was made yet.", "尚未创建任何密钥。"),
    "keys.new": ("New key", "新建密钥"),
    "keys.name": ("Name", "名称"),
    "keys.group": ("Group", "组"),
    "keys.state": ("State", "状态"),
    "keys.state.active": ("active", "有效"),
    "keys.state.disabled": ("disabled", "已停用"),
    "keys.state.expired": ("expired", "已过期"),
}
