# Completion of twofold's commands, options and names for bash. It asks the program for what there is, so that it
# knows what the installed version knows.
# shellcheck shell=bash disable=SC2207 # words without blanks

_twofold() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command="" i
    local config=${TWOFOLD_CONFIG:-/etc/twofold}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --config) config=${COMP_WORDS[++i]} ;;
        --config=*) config=${COMP_WORDS[i]#*=} ;;
        -*) ;;
        *) command=${COMP_WORDS[i]} && break ;;
        esac
    done
    _twofold_names() { # _twofold_names KIND: NAME of config/KIND/NAME.yaml
        local f
        for f in "$config/$1"/*.yaml; do [ ! -e "$f" ] || basename "$f" .yaml; done
    }
    case $prev in
    --vault) COMPREPLY=($(compgen -W "$(_twofold_names vaults)" -- "$cur")) && return ;;
    --policy) COMPREPLY=($(compgen -W "$(_twofold_names policies)" -- "$cur")) && return ;;
    --agent | --on) COMPREPLY=($(compgen -W "local $(_twofold_names agents)" -- "$cur")) && return ;;
    --config | --to | --kit | --out | --output | --evidence | --*-file) COMPREPLY=($(compgen -f -- "$cur")) && return ;;
    esac
    if [ -z "$command" ]; then
        COMPREPLY=($(compgen -W "$(LC_ALL=C twofold help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p')
            help --config --json --quiet --yes --help --version" -- "$cur"))
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$(LC_ALL=C twofold "$command" --help 2>/dev/null | grep -oE -e '--[a-z][a-z-]*' | sort -u)" -- "$cur"))
    else
        case $command in
        help) COMPREPLY=($(compgen -W "$(LC_ALL=C twofold help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p')" -- "$cur")) ;;
        backup | status | snapshots | restore | check | enqueue | pause | resume | logs)
            COMPREPLY=($(compgen -W "$(_twofold_names policies)" -- "$cur")) ;;
        report)
            COMPREPLY=($(compgen -W "incident daily bulletin summary supplement handling drill training contacts evacuation acceptance
                fault duties status annual scoring verify" -- "$cur") $(compgen -f -- "$cur")) ;;
        *) # words of its usage: add, list, lint, …
            COMPREPLY=($(compgen -W "$(LC_ALL=C twofold "$command" --help 2>/dev/null | awk 'NR > 1 && !/^        / { exit } { print }' |
                sed "s/^twofold $command//; s/\[[^]]*\]//g" | grep -oE '\b[a-z][a-z]+\b' | sort -u)" -- "$cur") $(compgen -f -- "$cur")) ;;
        esac
    fi
}
complete -o filenames -F _twofold twofold
