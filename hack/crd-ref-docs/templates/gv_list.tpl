{{- define "gvList" -}}
<!-- Generated from the types in api/ by `make docs`. Edit their comments instead. -->

# API reference
{{ range . }}
{{ template "gvDetails" . }}
{{- end }}
{{- end -}}
