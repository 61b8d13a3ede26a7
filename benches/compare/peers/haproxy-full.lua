-- What HAProxy's own words can't say: the signature over head and body, and the pictures out of the answer.
local cjson = require "cjson.safe"

cjson.encode_number_precision(14)
pcall(cjson.encode_number_precision, 16)

-- HAProxy takes the key of an HMAC as base64.
local KEY = "@SECRET_KEY_BASE64@"

core.register_action("sign", { "http-req" }, function(txn)
    local text = "POST " .. txn.f:path() .. "\nHost: @UPSTREAM@\nContent-Type: application/json\n\n" .. (txn.f:req_body() or "")
    local sign = txn.c:base64(txn.c:hmac(text, "sha1", KEY))
    sign = sign:gsub("[+/]", { ["+"] = "-", ["/"] = "_" })
    txn.http:req_set_header("Authorization", "Qiniu @ACCESS_KEY@:" .. sign)
    txn.http:req_set_header("Content-Type", "application/json")
end)

core.register_converters("without_pictures", function(text)
    local answer = cjson.decode(text)
    if type(answer) ~= "table" then
        return "{}"
    end
    local result = answer.result
    if type(result) == "table" then
        if type(result.best_image) == "table" then
            result.best_image.pic = nil
        end
        for _, image in ipairs(result.pic_list or {}) do
            image.pic = nil
        end
    end
    return cjson.encode(answer)
end)
