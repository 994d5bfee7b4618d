#!/bin/bash
# 70-chinese.sh - the program in Chinese: no message is untranslated, an error keeps its three lines, scripts read the same
# words and codes as ever, and nothing is wider than a terminal of 80 columns, in which a Chinese character takes two.
# shellcheck disable=SC2154
. "$TWOFOLD_SRC/tests/integration/lib.sh"
unset LANGUAGE LC_MESSAGES

# --- the locale: the system's, or one made here ------------------------------------------------------------------------
find_chinese
z() { "${zh[@]}" "$t" "$@"; }

# --- the catalog ------------------------------------------------------------------------------------------------------
po=$TWOFOLD_SRC/po/zh_CN.po
expect 0 env LC_ALL=C.UTF-8 msgfmt --check --statistics -o "$work/zh.mo" "$po"
said '^[0-9]+ translated messages\.$' # nothing after it: neither fuzzy nor untranslated
(cd "$TWOFOLD_SRC" && find lib policies agents restore orchestrator -name '*.[ch]' ! -name i18n.h -print0 |
    xargs -0 xgettext --from-code=UTF-8 --keyword=_ --keyword=N_ --keyword=P_:1,2 -o "$work/now.pot") 2>"$work/.out" ||
    fail "xgettext: $(cat "$work/.out")"
expect 0 msgcmp "$po" "$work/now.pot" || say "    (run: make po, and translate what is new)"

# What a person types stays as it is: commands, options, and the placeholders that the usage lines show.
cat >"$work/typed.py" <<'EOF'
import re, subprocess, sys
TYPED = re.compile(
    r"--[a-z][a-z-]+|\b(?:NAME|(?<!ONE )(?<!NO )PLACE|TARGET|SNAPSHOT|POLICY|FILE|PATH|(?<!ITS )(?<!IN )TIME|STAMP|URL|COMMAND)\b"
    r"|twofold (?:init|policy (?:add|lint|show)|backup|status|snapshots|ls|find|diff|restore|export|scrub|repair"
    r"|replicate|help)\b")
text = subprocess.run(["msgcat", "--no-wrap", sys.argv[1]], capture_output=True, text=True, check=True).stdout
bad = 0
for block in text.split("\n\n")[1:]:
    parts, part = {}, None
    for line in block.split("\n"):
        m = re.match(r'(msgid_plural|msgid|msgstr)(?:\[0\])? "(.*)"$', line)
        if m:
            part = m[1]
            parts[part] = m[2]
        elif line.startswith('"'):
            parts[part] += line[1:-1]
    lost = set(TYPED.findall(parts["msgid"])) - set(TYPED.findall(parts["msgstr"]))
    if lost:
        print("    not in the translation:", *sorted(lost), "-", parts["msgid"][:100])
        bad = 1
sys.exit(bad)
EOF
python3 -X utf8 "$work/typed.py" "$po" || fail "a translation changes what is to be typed"

# --- widths -------------------------------------------------------------------------------------------------------------
fits() { # FILE WHAT
    python3 -X utf8 - "$1" <<'EOF' || fail "wider than 80 columns: $2"
import sys, unicodedata
bad = 0
for line in open(sys.argv[1], encoding="utf-8"):
    line = line.rstrip("\n")
    if sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) > 80:
        print("   ", line)
        bad = 1
sys.exit(bad)
EOF
}
# zh_expect STATUS ARGUMENTS...: runs it in Chinese, and its stdout fits.
zh_expect() {
    local want=$1
    shift
    expect "$want" "${zh[@]}" "$t" "$@" || return 1
    fits "$work/.out" "twofold $*"
}
# An error: its three lines in Chinese.
zh_refuse() { # STATUS PATTERN ARGUMENTS...
    local want=$1 pattern=$2
    shift 2
    expect "$want" "${zh[@]}" "$t" "$@" || return 1
    said "$pattern"
    if [ "$(wc -l <"$work/.err")" -ne 3 ] || ! sed -n 1p "$work/.err" | grep -q '^twofold: .' ||
        ! sed -n 2p "$work/.err" | grep -q '^  原因：.' || ! sed -n 3p "$work/.err" | grep -q '^  处理：.'; then
        fail "not the three lines: $*"
        show_output
    fi
}

zh_expect 0 help
said '^用法：twofold '
said '^  restore     恢复文件'
for command in $(sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p' "$work/.out"); do
    zh_expect 0 "$command" --help
    said '^全局选项：'
done

# --- a vault's life -------------------------------------------------------------------------------------------------------
src=$work/src
mkdir "$src" "$work/v"
echo 预算 >"$src/预算表.txt"
seq 2000 >"$src/numbers"
export TWOFOLD_CONFIG=$work/v/c TWOFOLD_STATE=$work/v/s
a=$work/v/a b=$work/v/b
printf 'Correct-Horse-Battery-9\n' >"$work/pass"
chmod 600 "$work/pass"

zh_expect 0 status && said '^尚无存储库。下一步：twofold init '
zh_refuse 2 '原因：没有此命令' stauts
zh_refuse 2 '选项 --config 须有值' status --config
zh_refuse 1 '处理：请创建：twofold init ' snapshots
zh_refuse 2 '存放地点' init --vault main --copy "$a" --copy "b=$b" --passphrase-file "$work/pass"
printf 'short\n' >"$work/short"
chmod 600 "$work/short"
zh_refuse 2 '口令有 5 个字符，至少须有 16 个' init --vault main --copy "machine-room=$a" --copy "b=$b" \
    --passphrase-file "$work/short"

zh_expect 0 --yes init --vault main --copy "machine-room=$a" --copy "building-2=$b" --passphrase-file "$work/pass"
said '^TWOFOLD 恢复资料' && said '^恢复密钥不在本机' && said '^twofold: 警告：'
zh_expect 0 status && said '^存储库 main，尚无内容' && said '^尚无策略。'
zh_refuse 2 '没有策略 "etc"' backup etc
zh_expect 0 policy add budget --files "$src" --rpo 1s && said '^已写入：'
zh_refuse 1 '文件已存在' policy add budget --files "$src"
zh_expect 0 policy list && said '^budget：.*RPO 1 秒）'
zh_expect 0 policy show budget && said '^  单一文件系统：   否'
zh_expect 3 status && said '^策略 budget：【尚无备份】' && said '^      处理：twofold backup budget'
zh_expect 0 backup budget && said '^  副本 "building-2"：完整'
zh_expect 0 snapshots && said '接收时间' && said ' budget .* 完整 '
zh_expect 0 restore budget --to "$work/out" --passphrase-file "$work/pass" && said '^已将快照 '
same_tree "$src" "$work/out$src"
zh_refuse 1 '原因：目录不为空' restore budget --to "$src" --passphrase-file "$work/pass"
zh_refuse 5 '口令打不开恢复文件' restore budget --to "$work/out2" --passphrase-file "$work/short"
zh_expect 0 scrub && said '^未发现损坏'

# Overdue: a second has to pass, and status is asked until it has.
overdue=""
for _ in $(seq 100); do
    z status >"$work/.out" 2>"$work/.err" </dev/null
    ! grep -q '^策略 budget：【逾期】' "$work/.out" || { overdue=1 && break; }
done
[ -n "$overdue" ] || fail "never overdue"
fits "$work/.out" "status, overdue"

# A copy that is away, at a place whose long path makes status break its lines.
mv "$b" "$work/v/elsewhere"
zh_expect 3 status && said '^  building-2 +离线' && said '^      原因：' && said '^      处理：'
zh_expect 3 backup budget && said '^  副本 "building-2"：【缺少】此次备份：'
mv "$work/v/elsewhere" "$b"
zh_expect 3 status && said '^  building-2 +落后 1 代'
zh_expect 0 replicate && said '^副本 "building-2"：完整'
printf damaged | dd of="$(find "$a/heads" -type f | sort | tail -n 1)" conv=notrunc status=none
zh_expect 3 status && said '^  machine-room +1 个头对象损坏'
expect 4 "${zh[@]}" "$t" scrub && said '^副本 "machine-room"：heads/.*：损坏（' # names of objects are as long as they are
expect 0 "${zh[@]}" "$t" repair && said '^已修复 1 个对象'

# --- scripts read the same as ever --------------------------------------------------------------------------------------
expect 1 "${zh[@]}" "$t" --json snapshots www
[ "$(json code error)" = absent ] || fail "--json: the code of an error is translated"
[ "$(json next error | grep -c '^查看已有备份：')" -eq 1 ] || fail "--json: the text of an error is not translated"
expect 0,3 "${zh[@]}" "$t" --json status
[ "$(json copy_state status)" = current ] || fail "--json: the state of a copy is translated"
case $(json state status) in good | overdue) ;; *) fail "--json: the state of a policy is translated" ;; esac

finish
